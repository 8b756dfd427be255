// SPDX-License-Identifier: MIT
/** More packets than the queue holds, while nobody empties it: the queue stops, and wakes later. */
import { bytes } from '../cli/output';
import { law, type Stats } from '../datapath/stats';
import { ADDRESS, IFACE, type Sandbox } from './sandbox';
import { proves, say, showCommand, showOutput, title } from './stage';
import { TOOL } from './step-transfer';

const BURST = 600;
const BURST_PORT = 9001;

export async function fullQueue(box: Sandbox): Promise<void> {
  title('When the queue is full');
  say(`Every network card has a queue for what it is to send; when the queue is full the card stops taking
    packets, and goes on when there is room again. To see it, we attach ${IFACE} anew with a very small
    queue, put the program that empties it to sleep, and send ${BURST} packets at once.`);
  await box.show(`vnet-bpf attach ${box.where} --addr ${ADDRESS}/24 --ring-size 256K --replace --daemon`);
  // Finding the hardware address takes packets that come back: it has to be known before the pause.
  await box.show(`ip netns exec ${box.netns} ping -c 1 -q ${ADDRESS}`, (text) => text.replace(/^(?!.*received).*\n/gm, ''));
  const pid = (await box.attachments())[0]?.pid;
  proves(pid !== undefined, `process ${pid} empties the queue`, 'it is not listed');
  box.pause(pid as number);

  const send = `ip netns exec ${box.netns} node ${TOOL} burst ${ADDRESS} ${BURST_PORT} ${BURST}`;
  showCommand(`${send} &`);
  const burst = box.launch(send);
  const full = await box.statsWhen((stats) => stats.queue.stopped, 15);
  proves(full.queue.stopped, `the queue has stopped: ${full.queue.packets} packets wait in ${bytes(full.queue.usedBytes)} of ${bytes(full.queue.capacityBytes)}`, 'it did not stop');

  say('Now the program may go on. It takes the packets out, and at half of the queue more may come in.');
  box.resume();
  burst.child.stdin?.end();
  const { sent, received } = JSON.parse(await burst.output) as { sent: number; received: number };
  const rest = await box.statsWhen(atRest, 20);
  await showLog(box);
  proves(rest.queue.stops > 0 && rest.queue.wakes === rest.queue.stops, `stopped ${times(rest.queue.stops)}, woken ${times(rest.queue.wakes)}`, JSON.stringify(rest.queue));
  say(whatBecameOfThem(sent, received, rest));
}

const times = (n: number): string => (n === 1 ? 'once' : `${n} times`);

function atRest(stats: Stats): boolean {
  const { queue, held } = stats;
  return !queue.stopped && queue.stops === queue.wakes && queue.packets === 0 && held.now === 0 && law(stats).balanced;
}

async function showLog(box: Sandbox): Promise<void> {
  const command = `vnet-bpf log ${box.where}`;
  // Stops and wakes are announced at most every few seconds: those of a moment ago may be still to come.
  let text = '';
  for (let tries = 0; tries < 20 && !text.includes('queue woken'); tries++) {
    if (tries > 0) await box.sleep(200);
    text = await box.quietly(command);
  }
  showCommand(command);
  showOutput(text);
  proves(text.includes('queue stopped') && text.includes('queue woken'), 'the log, and the kernel log (dmesg), tell of it', 'they do not');
}

function whatBecameOfThem(sent: number, received: number, { held, refused }: Stats): string {
  if (refused.full === 0) return `${received} of ${sent} packets arrived: those that found the queue full were held until there was room (${held.total} of them).`;
  return `${received} of ${sent} packets arrived. The queue was full for the others: they were refused, counted, and
    a sender that asks is told so, as with a real card.`;
}
