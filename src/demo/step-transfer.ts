// SPDX-License-Identifier: MIT
/** A file goes through the loop over TCP and has to arrive unchanged. */
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';

import { bytes } from '../cli/output';
import { clock } from '../native/clock';
import { ADDRESS, IFACE, type Sandbox } from './sandbox';
import { proves, say, showCommand, shownPath, showOutput, title } from './stage';

const SIZE = 64 << 20;
const PORT = 9000;
/** Makes the traffic: src/demo/traffic.ts. */
export const TOOL = shownPath(path.join(__dirname, '..', 'demo', 'traffic.js'));

const sha256 = (file: string): string => createHash('sha256').update(fs.readFileSync(file)).digest('hex');

export async function transfer(box: Sandbox): Promise<void> {
  title('A file over TCP');
  say(`${bytes(SIZE)} of random bytes go from one program to another, through ${IFACE}. TCP notices the slightest
    damage: wrong checksums, packets cut short or out of order. The hash says whether the copy is the original.`);
  const [original, copy] = [path.join(box.directory, 'original'), path.join(box.directory, 'copy')];
  fs.writeFileSync(original, randomBytes(SIZE));
  const before = await box.stats();
  const tool = `ip netns exec ${box.netns} node ${TOOL}`;

  const receive = `${tool} receive ${ADDRESS} ${PORT} ${copy}`;
  showCommand(`${receive} &`);
  const receiver = box.launch(receive);
  await Promise.race([new Promise((resolve) => receiver.child.stdout?.once('data', resolve)), receiver.output]);
  const send = `${tool} send ${ADDRESS} ${PORT} ${original}`;
  showCommand(send);
  const start = clock.now();
  await Promise.all([box.launch(send).output, receiver.output]);
  const seconds = (clock.now() - start) / 1000;

  showCommand(`sha256sum ${original} ${copy}`);
  const [sent, received] = [sha256(original), sha256(copy)];
  showOutput(`${sent}  ${original}\n${received}  ${copy}`);
  const after = await box.stats();
  const looped = after.rx.bytes - before.rx.bytes;
  const time = `${seconds.toFixed(1)} s, starting both programs included`;
  proves(sent === received, `the copy is the original, after ${bytes(looped)} in ${after.rx.packets - before.rx.packets} packets (${time})`, 'the hashes differ');
  proves(looped >= SIZE, 'all of it went through the loop', `only ${bytes(looped)} did`);
}
