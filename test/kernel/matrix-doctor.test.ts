// SPDX-License-Identifier: MIT
/** What doctor says about the kernel agrees with attach, also on a kernel that is too old. */
import t from 'tap';
import { kernelIsAtLeast } from 'libbpf-ts';

import type { DoctorReport } from '../../src/doctor/doctor';
import { kernelFeatures } from '../../src/requirements';
import { cannotRun, cli, SLOW } from '../helpers/cli';
import { ok, testNetns } from '../helpers/netns';
import { cannotLoop } from '../helpers/supported';

t.setTimeout(300_000 * SLOW);

t.test('doctor knows each feature of the kernel, and attach agrees', { skip: cannotRun }, (t) => {
  const { status, stdout } = cli(['doctor', '--json']);
  const { checks: all } = JSON.parse(stdout) as DoctorReport;
  const checks = all.filter(({ group }) => group === 'features');
  const rest = new Map(all.map(({ name, status: word }) => [name, word]));
  for (const name of ['libpcap', 'TypeScript', 'dummy', 'netem']) t.match(rest.get(name), /^(ok|warn)$/, name);
  const statusOf = (name: string): string | undefined => checks.find((check) => check.name === name)?.status;
  for (const { name, since, without } of kernelFeatures) {
    const word = statusOf(name) ?? 'nothing';
    if (name === 'seeds of netem' && rest.get('netem') !== 'ok') {
      t.equal(word, 'warn', 'without netem there are no seeds of it');
      continue;
    }
    // Distributions backport features to older releases, which a probe finds out.
    if (kernelIsAtLeast(since)) t.equal(word, 'ok', `${name}: this kernel has it`);
    else t.match(word, without === null ? /^(ok|fail)$/ : /^(ok|warn)$/, `${name}: ${word}, Linux ${since} has it`);
  }

  if (!cannotLoop()) t.equal(status, 0, 'doctor finds nothing that must be fixed');
  else {
    t.equal(status, 1, 'doctor fails');
    const netns = testNetns(t);
    const refusal = cli(['attach', 'vnet0', '--netns', netns, '--daemon']);
    t.equal(refusal.status, 1, 'attach fails');
    t.match(
      refusal.stderr,
      /^vnet-bpf: attach: this kernel is .* came with Linux 5\.13\nhint: .*\n$/,
      'says in one line which kernel it wants',
    );
    t.equal(ok('ip', ['-n', netns, '-br', 'link']).trim().split('\n').length, 1, 'and changes nothing');
  }
  t.end();
});
