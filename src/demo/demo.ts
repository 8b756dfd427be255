// SPDX-License-Identifier: MIT
/**
 * `vnet-bpf demo`: shows the loop at work, step by step, in a throwaway namespace. The exit code is 1 if a step fails.
 */
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';

import { frameAccounting, type Stats } from '../datapath/stats';
import { exhaustion } from '../errors';
import { clock } from '../native/clock';
import { SYSTEM_PATH } from '../native/inherited';
import { requirePrivileges } from '../requirements';
import { bytes, tell } from '../terminal/output';
import { ADDRESS, IFACE, proves, Sandbox, say, showCommand, shownPath, showOutput, snapshot, title } from './stage';

/** Attaches the interface; returns a snapshot of the namespace taken before that. */
export async function attach(box: Sandbox): Promise<string> {
  title('A NIC out of nothing');
  say(`First a network namespace: a private copy of this machine's network, so that nothing outside is touched.
    Then vnet-bpf makes ${IFACE} in it, a NIC without hardware. What it transmits comes back as received:
    a small BPF program, checked and run by the kernel, puts each transmitted packet into a queue; a program in
    TypeScript takes it out and hands it back to the kernel as if it had come in from the network.`);
  box.open();
  const before = await snapshot(box);
  await box.show(`vnet-bpf attach ${box.where} --addr ${ADDRESS}/24 --daemon`);
  return before;
}

export async function look(box: Sandbox): Promise<void> {
  title('To every program it is a NIC like any other');
  say('It is up and has a random hardware address. No other new interface can be seen.');
  await box.show(`ip -n ${box.netns} -brief link`);
  const links = JSON.parse(await box.quietly(`ip -n ${box.netns} -json link`)) as {
    ifname: string;
    flags: string[];
    address: string;
  }[];
  const vnet = links.find(({ ifname }) => ifname === IFACE);
  const others = links.filter(({ ifname }) => ifname !== IFACE && ifname !== 'lo');
  proves(
    vnet !== undefined && vnet.flags.includes('UP') && others.length === 0,
    `${IFACE} is UP with the address ${vnet?.address}`,
    JSON.stringify(links),
  );
}

export async function ping(box: Sandbox): Promise<void> {
  title('A ping that really travels');
  say(`Linux takes a short cut for a ping of its own address and sends no packet. Here each of the four
    requests and each of the four replies leaves through ${IFACE} and comes back through it.`);
  const before = await box.stats();
  const output = await box.show(`ip netns exec ${box.netns} ping -c 4 -i 0.2 ${ADDRESS}`, (text) =>
    text.replace(/\nrtt.*\n/, ''),
  );
  proves(output.includes('4 received'), '4 of 4 came back', 'some are missing');
  const after = await box.statsWhen((stats) => stats.tx.packets === stats.rx.packets, 10);
  const [sent, received] = [after.tx.packets - before.tx.packets, after.rx.packets - before.rx.packets];
  proves(
    sent >= 8 && sent === received,
    `${IFACE} transmitted ${sent} packets and received ${received}`,
    `${sent} sent, ${received} received`,
  );
}

// A file goes through the loop over TCP and has to arrive unchanged.

const SIZE = 64 << 20;
const PORT = 9000;
/** The program that makes the traffic: src/demo/traffic.ts. */
export const TOOL = shownPath(path.join(__dirname, '..', 'demo', 'traffic.js'));

const sha256 = (file: string): string => createHash('sha256').update(fs.readFileSync(file)).digest('hex');

export async function transfer(box: Sandbox): Promise<void> {
  title('A file over TCP');
  say(`${bytes(SIZE)} of random bytes go from one program to another, through ${IFACE}. TCP notices the slightest
    damage: wrong checksums, packets cut short or out of order. The hash shows whether the copy equals the original.`);
  const [original, copy] = [path.join(box.directory, 'original'), path.join(box.directory, 'copy')];
  try {
    fs.writeFileSync(original, randomBytes(SIZE));
  } catch (error) {
    throw exhaustion(error, original) ?? error;
  }
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
  proves(
    sent === received,
    `the copy equals the original, after ${bytes(looped)} in ${after.rx.packets - before.rx.packets} packets (${time})`,
    'the hashes differ',
  );
  proves(looped >= SIZE, 'all of it went through the loop', `only ${bytes(looped)} did`);
}

// More packets than the queue holds while nothing empties it: the queue stops, and wakes later.

const BURST = 600;
const BURST_PORT = 9001;

export async function fullQueue(box: Sandbox): Promise<void> {
  title('When the queue is full');
  say(`Every NIC has a queue of packets to send. When the queue is full, the NIC stops taking packets, and goes
    on when there is space again. To see it, we attach ${IFACE} anew with a very small queue, put the program
    that empties it to sleep, and send ${BURST} packets at once.`);
  await box.show(`vnet-bpf attach ${box.where} --addr ${ADDRESS}/24 --ring-size 256K --replace --daemon`);
  // Finding the hardware address takes packets that come back, so it must be known before the pause.
  await box.show(`ip netns exec ${box.netns} ping -c 1 -q ${ADDRESS}`, (text) =>
    text.replace(/^(?!.*received).*\n/gm, ''),
  );
  const pid = (await box.attachments())[0]?.pid;
  proves(pid !== undefined, `process ${pid} empties the queue`, 'it is not listed');
  box.pause(pid as number);

  const send = `ip netns exec ${box.netns} node ${TOOL} burst ${ADDRESS} ${BURST_PORT} ${BURST}`;
  showCommand(`${send} &`);
  const burst = box.launch(send);
  const full = await box.statsWhen((stats) => stats.queue.stopped, 15);
  proves(
    full.queue.stopped,
    `the queue has stopped: ${full.queue.packets} packets wait in ${bytes(full.queue.usedBytes)} of ${bytes(full.queue.capacityBytes)}`,
    'it did not stop',
  );

  say(
    'Now the program may go on. It takes the packets out, and once it is down to the low watermark, half of what it holds, more may come in.',
  );
  box.resume();
  burst.child.stdin?.end();
  const { sent, received } = JSON.parse(await burst.output) as { sent: number; received: number };
  const rest = await box.statsWhen(atRest, 20);
  await showLog(box);
  proves(
    rest.queue.stops > 0 && rest.queue.wakes === rest.queue.stops,
    `stopped ${times(rest.queue.stops)}, woken ${times(rest.queue.wakes)}`,
    JSON.stringify(rest.queue),
  );
  say(whatBecameOfThem(sent, received, rest));
}

const times = (n: number): string => (n === 1 ? 'once' : `${n} times`);

function atRest(stats: Stats): boolean {
  const { queue, held } = stats;
  return (
    !queue.stopped &&
    queue.stops === queue.wakes &&
    queue.packets === 0 &&
    held.now === 0 &&
    frameAccounting(stats).balanced
  );
}

async function showLog(box: Sandbox): Promise<void> {
  const command = `vnet-bpf log ${box.where}`;
  // Stops and wakes are logged at most every few seconds: the latest may not be there yet.
  let text = '';
  for (let tries = 0; tries < 20 && !text.includes('queue woken'); tries++) {
    if (tries > 0) await box.sleep(200);
    text = await box.quietly(command);
  }
  showCommand(command);
  showOutput(text);
  proves(
    text.includes('queue stopped') && text.includes('queue woken'),
    'the log and the kernel log (dmesg) report it',
    'they do not',
  );
}

function whatBecameOfThem(sent: number, received: number, { held, refused }: Stats): string {
  if (refused.full === 0)
    return `${received} of ${sent} packets arrived: those that found the queue full were held until there was space (${held.total} of them).`;
  return `${received} of ${sent} packets arrived. The queue was full for the others: they were refused and counted,
    and a sender that asks is told so, as with a real NIC.`;
}

// Every packet is accounted for, and afterwards nothing is left.

export async function balance(box: Sandbox): Promise<void> {
  title('The frame accounting balances');
  say(`Each packet that went in either came out or is counted with the reason why it did not. The line
    "accounting" adds both sides up; --check makes the command fail if they differ.`);
  await box.show(`vnet-bpf stats ${box.where} --check`);
  const { in: entered, out } = frameAccounting(await box.stats());
  proves(entered === out, `${entered} packets in, ${out} accounted for`, `${entered} in, ${out} out`);
}

export async function detach(box: Sandbox, before: string): Promise<void> {
  title('Nothing is left');
  say('Detaching removes the NIC, its programs, its queue, and the routing rules that made the ping travel.');
  const pid = (await box.attachments())[0]?.pid ?? 0;
  await box.show(`vnet-bpf detach ${box.where}`);
  await box.show(`ip -n ${box.netns} -brief link`);
  const after = await snapshot(box);
  proves(after === before, `interfaces, rules and routes are as they were before ${IFACE}`, 'they differ');
  for (let tries = 0; tries < 200 && !hasEnded(pid); tries++) await box.sleep(50);
  const left = await box.attachments();
  proves(
    left.length === 0 && hasEnded(pid),
    `vnet-bpf list no longer shows it, and process ${pid} has ended`,
    'something is left',
  );
  showCommand(`ip netns del ${box.netns}`); // the sandbox does this
}

/** Whether a process has ended. It may still wait for its parent to reap it: state Z, see proc(5). */
function hasEnded(pid: number): boolean {
  try {
    return /^\d+ \(.*\) [ZX]/s.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

const README = shownPath(path.join(__dirname, '..', '..', 'README.md'));

/** Whether a shell of the user finds vnet-bpf: a package installs it, a checkout does not. */
const isInPath = (): boolean =>
  `${process.env['PATH'] ?? ''}:${SYSTEM_PATH}`
    .split(':')
    .some((directory) => directory !== '' && fs.existsSync(path.join(directory, 'vnet-bpf')));

export async function demoCommand(): Promise<void> {
  requirePrivileges();
  const start = clock.now();
  const box = new Sandbox();
  try {
    await show(box);
  } finally {
    await box.close();
  }
  tell(
    '',
    `All steps hold, in ${((clock.now() - start) / 1000).toFixed(1)} s. Next: vnet-bpf attach vnet0, and ${README}.`,
  );
}

async function show(box: Sandbox): Promise<void> {
  tell('vnet-bpf: what this NIC transmits comes back as received.');
  const hint = isInPath() ? '' : '; make install puts vnet-bpf into the PATH';
  tell(`Lines with # are commands, as root would type them${hint}.`);
  const before = await attach(box);
  await look(box);
  await ping(box);
  await transfer(box);
  await fullQueue(box);
  await balance(box);
  await detach(box, before);
}
