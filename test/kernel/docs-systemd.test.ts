// SPDX-License-Identifier: MIT
/**
 * docs/systemd.md: the files install as written, systemd finds nothing wrong with them, and the score is what it says.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, MAIN, ROOT } from '../helpers/cli';
import { blocksOf, scriptOf } from '../helpers/document';
import { run } from '../helpers/netns';
import { PrivateMachine } from '../helpers/private-machine';
import { UNIT } from '../helpers/service-manager';
import { withoutTools } from '../helpers/traffic';
import { readAssignments, readEnvironment } from '../helpers/unit-file';

const DOCUMENT = path.join(ROOT, 'docs', 'systemd.md');

/** A private /etc, the command where the unit expects it, and a systemctl that only records its arguments. */
const PREPARE = `
cp -a /etc /run/etc
mount --bind /run/etc /etc
mount -t tmpfs -o mode=0755 tmpfs /usr/local/bin
ln -s '${MAIN}' /usr/local/bin/vnet-bpf
printf '#!/bin/sh\\necho "systemctl $*"\\n' >/usr/local/bin/systemctl
chmod +x /usr/local/bin/systemctl
PATH=/usr/local/bin:$PATH
cd '${ROOT}/docs/systemd'
set -e
`;

const withoutSystemd = run('sh', ['-c', 'command -v systemd-analyze']).status !== 0 && 'there is no systemd-analyze';

t.test(
  'the commands, and what systemd thinks of the result',
  { skip: cannotRun || withoutSystemd || withoutTools('bash', 'ip') },
  async (t) => {
    const machine = await PrivateMachine.start(t);
    const script = scriptOf(blocksOf(DOCUMENT).filter(({ language }) => language === 'sh'));
    const { status, stdout, stderr } = machine.run('bash', ['-c', PREPARE + script]);
    t.equal(status, 0, stderr);
    t.match(stdout, 'systemctl daemon-reload\nsystemctl enable --now vnet-bpf@vnet0\n');
    const installed = machine.shell('cd /etc; find . -name "*vnet*" -type f | sort').split('\n').filter(Boolean);
    t.same(installed, [
      './NetworkManager/conf.d/90-vnet-bpf.conf',
      './systemd/network/10-vnet-bpf.link',
      './systemd/network/10-vnet-bpf.network',
      './systemd/system/vnet-bpf@.service',
      './vnet-bpf/vnet0.conf',
    ]);
    const verified = machine.run('systemd-analyze', [
      'verify',
      '--man=no',
      '/etc/systemd/system/vnet-bpf@vnet0.service',
    ]);
    t.same(
      { status: verified.status, stderr: verified.stderr.split('\n').filter((line) => line.includes('vnet-bpf')) },
      { status: 0, stderr: [] },
      'verify finds nothing',
    );
  },
);

t.test('the score', { skip: withoutSystemd }, (t) => {
  const { stdout } = run('systemd-analyze', ['security', '--offline=yes', UNIT], {
    env: { ...process.env, LC_ALL: 'C' },
  });
  const score = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]);
  const says = Number(/gives it ([\d.]+) /.exec(fs.readFileSync(DOCUMENT, 'utf8'))?.[1]);
  // Each version of systemd rates some more settings.
  t.ok(Math.abs(score - says) <= 0.3, `the document says ${says}, systemd ${score}`);
  t.end();
});

t.test('files and document agree', (t) => {
  const [example] = blocksOf(DOCUMENT).filter(({ language }) => language === 'ini');
  const conf = path.join(ROOT, 'docs', 'systemd', 'vnet0.conf');
  t.ok(example && fs.readFileSync(conf, 'utf8').includes(example.text), 'the options');
  t.same(readEnvironment(conf), { OPTIONS: '--addr 192.168.100.1/24' });
  const [capabilities = ''] = readAssignments(UNIT).get('CapabilityBoundingSet') ?? [];
  const text = fs.readFileSync(DOCUMENT, 'utf8');
  t.same(
    capabilities.split(' ').filter((name) => !text.includes(name)),
    [],
    'the capabilities',
  );
  t.end();
});
