// SPDX-License-Identifier: MIT
/** docs/faults.md: its examples, as written, on a machine of its own. */
import * as path from 'node:path';

import t from 'tap';

import { lineOf } from '../../../src/faults/log';
import { readFaults } from '../../../src/faults/document';
import { cannotRun, MAIN, ROOT, SLOW } from '../../helpers/cli';
import { blocksOf, READERS_HOME, scriptOf } from '../../helpers/document';
import { PrivateMachine } from '../../helpers/private-machine';

t.setTimeout(280_000 * SLOW);

const BLOCKS = blocksOf(path.join(ROOT, 'docs', 'faults.md'));

t.test('the commands do what they say', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const rules = BLOCKS.find(({ language }) => language === 'ts')?.text ?? '';
  const more = `vnet-bpf attach vnet0 --addr 10.77.0.1/24 --daemon --faults /run/home/rules.ts\nvnet-bpf faults vnet0 --show\nvnet-bpf detach vnet0\n`;
  const prepare = `${READERS_HOME}mkdir node_modules && ln -s "$ROOT" node_modules/vnet-bpf && ln -s "$NODE" bin/node\n`;
  const script = `${prepare}cat >rules.ts <<'EOF'\n${rules}\nEOF\n${scriptOf(BLOCKS.filter(({ language }) => ['sh', 'js'].includes(language)))}\n${more}`;
  const { status, stdout, stderr } = machine.run('bash', ['-c', script], { NODE: process.execPath, MAIN, ROOT });
  t.equal(status, 0, `${stderr}\n${stdout}`);
  t.match(stdout, /^(#|ℹ) pass 3$/m, 'the test of the last section');
  t.match(stdout, /icmp_seq=1 ttl/);
  t.match(stderr, /vnet0 has faults, with the seed 7\n.*\n1 +1 +1 +icmp from client nth 2: drop/);
  t.match(stdout, /1 +0 +0 +udp port 53 nth 2: drop\n2 +0 +0 +tcp port 443 from server: delay 40ms jitter 5ms loss 2%/);
  t.match(
    stdout,
    /udp port 53 \(and a function\) nth 1: truncate 512\n.*tcp port 443 from server: delay 40ms jitter 5ms loss 2%\n.*udp port 5353: drop/,
  );
  t.match(
    stdout,
    /^fails when the 1st message from the (client|server) of the 1st ICMP connection is dropped\nexit code 1 in \d+ of \d+ runs with this fault/m,
  );
  t.same(
    machine.residue().filter((line) => !['/run/netns', '/run/home'].includes(line)),
    [],
    'nothing is left',
  );
});

t.test('the documents are those that the code reads and writes', async (t) => {
  const [log = '', document = ''] = BLOCKS.filter(({ language }) => language === 'json').map(({ text }) => text.trim());
  t.equal(lineOf(JSON.parse(log) as Parameters<typeof lineOf>[0]), log);
  t.same(readFaults(JSON.parse(document)), JSON.parse(document));
});
