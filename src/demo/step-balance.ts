// SPDX-License-Identifier: MIT
/** Every packet is accounted for, and afterwards nothing is left. */
import * as fs from 'node:fs';

import { law } from '../datapath/stats';
import { IFACE, type Sandbox } from './sandbox';
import { snapshot } from './snapshot';
import { proves, say, showCommand, title } from './stage';

export async function balance(box: Sandbox): Promise<void> {
  title('The books balance');
  say(`Each packet that went in either came out or is counted with the reason why it did not. The line "law"
    adds both sides up; --check makes the command fail if they differ.`);
  await box.show(`vnet-bpf stats ${box.where} --check`);
  const { in: entered, out } = law(await box.stats());
  proves(entered === out, `${entered} packets in, ${out} accounted for`, `${entered} in, ${out} out`);
}

export async function detach(box: Sandbox, before: string): Promise<void> {
  title('Nothing is left');
  say('Detaching removes the card, its programs, its queue, and the routing rules that made the ping travel.');
  const pid = (await box.attachments())[0]?.pid ?? 0;
  await box.show(`vnet-bpf detach ${box.where}`);
  await box.show(`ip -n ${box.netns} -brief link`);
  const after = await snapshot(box);
  proves(after === before, `interfaces, rules and routes are as before ${IFACE} was there`, 'they differ');
  for (let tries = 0; tries < 200 && !hasEnded(pid); tries++) await box.sleep(50);
  const left = await box.attachments();
  proves(left.length === 0 && hasEnded(pid), `vnet-bpf list does not know it any more, and process ${pid} has ended`, 'something is left');
  showCommand(`ip netns del ${box.netns}`); // the sandbox does it
}

/** A process that has ended may wait for its parent to take note of it: state Z, see proc(5). */
function hasEnded(pid: number): boolean {
  try {
    return /^\d+ \(.*\) [ZX]/s.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}
