// SPDX-License-Identifier: MIT
/** docs/recording.md: its examples, as written, on a machine of its own. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { newBlock } from '../../../src/capture/buffers';
import { commentOf } from '../../../src/capture/comment';
import { RecordedFrame } from '../../../src/capture/trace-ring';
import { OUTCOME, REFUSALS } from '../../../src/datapath/outcomes';
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
  for (const outcome of [OUTCOME.dropped, OUTCOME.changed, OUTCOME.segmented, OUTCOME.delayed]) {
    const frame = new RecordedFrame(0, 60, false, 1, newBlock(128), 0, 60);
    frame.end(outcome, outcome === OUTCOME.delayed ? 400 : 3, 0);
    const words = /, (.*) after/.exec(commentOf(frame))?.[1] ?? 'nothing';
    t.ok(text.includes(words), words);
  }
  const dropped = new RecordedFrame(0, 60, false, 1, newBlock(128), 0, 60);
  dropped.faults = [0];
  dropped.end(OUTCOME.dropped, 0, 0);
  const comment = commentOf(dropped, ['rule 1: udp port 53 nth 2: drop']).replace('0.000 ms', '...');
  t.ok(text.includes(comment), comment);
  for (const words of [
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
