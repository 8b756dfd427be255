// SPDX-License-Identifier: MIT
/** docs/recording.md: its examples, as written, on a machine of its own. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { REFUSALS } from '../../../src/datapath/outcomes';
import { cannotRun, MAIN, ROOT, SLOW } from '../../helpers/cli';
import { blocksOf, READERS_HOME, scriptOf } from '../../helpers/document';
import { PrivateMachine } from '../../helpers/private-machine';
import { withoutTshark } from '../../helpers/recording';

t.setTimeout(120_000 * SLOW);

const FILE = path.join(ROOT, 'docs', 'recording.md');

const PREPARE = `${READERS_HOME}export HOME=/run/home XDG_CONFIG_HOME=/run/home/.config
`;

t.test('the examples do what they say', { skip: cannotRun || withoutTshark() }, async (t) => {
  const blocks = blocksOf(FILE).filter(({ language }) => language === 'sh');
  t.equal(blocks.length, 2);
  const machine = await PrivateMachine.start(t);
  const { status, stdout, stderr } = machine.run('bash', ['-c', PREPARE + scriptOf(blocks)], {
    NODE: process.execPath,
    MAIN,
  });
  t.equal(status, 0, stderr);
  const requests = stdout
    .split('\n')
    .filter((line) => /^\d+\tEcho \(ping\) request .*\tcaptured, reinjected after \d+\.\d{3} ms/.test(line));
  t.equal(requests.length, 3, 'three pings with their comments');
  t.match(stdout, /^(\d+) frames of vnet0 in run\.pcapng$/m);
  t.equal(
    /^(\d+) frames sent on vnet0/m.exec(stdout)?.[1],
    /^(\d+) frames of vnet0/m.exec(stdout)?.[1],
    'as many are replayed',
  );
  t.match(stdout, /wireshark\/extcap\/vnet-bpf lets Wireshark see/);
  t.same(
    machine.residue().filter((line) => !['/run/netns', '/run/home'].includes(line)),
    [],
    'nothing is left',
  );
});

t.test('the comments of the table are those that are made', async (t) => {
  const text = fs.readFileSync(FILE, 'utf8');
  const source = fs.readFileSync(path.join(ROOT, 'src', 'capture', 'comment.ts'), 'utf8');
  for (const words of [
    'dropped by the hook',
    'changed by the hook and reinjected',
    'still in the queue when the recording ended',
    'refused on the reinject path (',
    'what became of it was missed',
    'as one packet',
    'still waiting',
  ]) {
    t.ok(text.includes(words) && source.includes(words), words);
  }
  const [, reason = ''] = /refused on the reinject path \((\w+)\)/.exec(text) ?? [];
  t.ok(Object.hasOwn(REFUSALS, reason), `${reason} is a reason`);
});
