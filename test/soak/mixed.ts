// SPDX-License-Identifier: MIT
/**
 * Minutes of everything at once: ping flood, UDP flat out, TCP, and storms of stops and wakes.
 * Memory stays flat, nothing is lost, no wake-up is missed. VNET_BPF_SOAK_MINUTES minutes (10).
 */
import { spawn } from 'node:child_process';

import t, { type Test } from 'tap';

import { attachmentOf, attachedIn, cannotRun, checkAccounting, SLOW, type Attached } from '../helpers/cli';
import { checkReceived, startFlood } from '../helpers/flood';
import { inside, ok, quietNetns } from '../helpers/netns';
import { residentKib } from '../helpers/process-times';
import { snmpCounter } from '../helpers/snmp';
import { tcpRun, withoutArp } from '../helpers/traffic';

const MINUTES = Number(process.env['VNET_BPF_SOAK_MINUTES'] ?? 10);
const ADDRESS = '10.77.0.1';
const TCP_BYTES = 4 << 20;
const SAMPLE_MS = 2000;
/** Growth of the second half over the first that is still noise: a garbage collector breathes. */
const GROWTH_MAX_KIB = 4096;

t.setTimeout((MINUTES * 60_000 + 120_000) * SLOW);

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Sends echo requests as fast as they are answered; returns the summary of ping. */
function pingFlood(t: Test, { netns }: Attached): { stop(): Promise<string> } {
  const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
  const child = spawn(nsenter, [...rest, 'ping', '-f', '-q', '-W', '10', ADDRESS], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => child.exitCode === null && child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  const ended = new Promise<string>((resolve) => child.on('close', () => resolve(output)));
  return {
    stop: () => {
      child.kill('SIGINT');
      return ended;
    },
  };
}

t.test(`${MINUTES} minutes of mixed load`, { skip: cannotRun }, async (t) => {
  // A small ring and a poller that rests now and then: the queue stops and wakes all the time.
  const args = ['--addr', `${ADDRESS}/24`, '--ring-size', '256K'];
  const nic = attachedIn(t, quietNetns(t), args, 'vnet0', { VNET_BPF_TEST_POLL_DELAY_US: '100' });
  withoutArp(nic, ADDRESS);
  ok('ip', ['-n', nic.netns, 'link', 'set', 'dev', 'lo', 'up']);
  const { pid } = attachmentOf(nic);
  const { sender, receiver } = await startFlood(t, nic.netns, { address: ADDRESS, bytes: 300, flows: 16 });
  const ping = pingFlood(t, nic);
  const end = Date.now() + MINUTES * 60_000;
  const resident: number[] = [];
  const sampler = setInterval(() => resident.push(residentKib(pid)), SAMPLE_MS);
  t.teardown(() => clearInterval(sampler));
  let streams = 0;
  let unequal = 0;
  while (Date.now() < end) {
    const { sent, received } = await tcpRun(t, nic.netns, ADDRESS, TCP_BYTES);
    streams++;
    if (sent.sha256 !== received.sha256) unequal++;
    await delay(200);
  }
  clearInterval(sampler);
  const pinged = await ping.stop();
  const sent = await sender.stop();
  const after = await nic.atRest();
  checkReceived(t, await receiver.stop(), sent.sent);
  t.equal(unequal, 0, `${streams} TCP streams arrived as they were sent`);
  // What ping says may lack the answers that were on their way when it was interrupted; they came.
  const transmitted = Number(/(\d+) packets transmitted/.exec(pinged)?.[1]);
  t.equal(snmpCounter(nic.netns, 'Icmp', 'InEchoReps'), transmitted, 'every ping was answered');
  // The start is warm-up: compilers and heaps take what they need.
  const steady = resident.slice(resident.length >> 2);
  const half = steady.length >> 1;
  const growth = mean(steady.slice(half)) - mean(steady.slice(0, half));
  t.comment(
    `resident memory: ${steady.map((kib) => Math.round(kib / 1024)).join(' ')} MiB; ${growth.toFixed(0)} KiB more in the second half`,
  );
  t.ok(growth < GROWTH_MAX_KIB, 'memory is flat');
  t.comment(
    `${sent.sent} datagrams; ${after.held.total} held, ${after.queue.stops} stops, ${after.held.grants} grants`,
  );
  t.equal(after.held.dropped, 0, 'the waiting room lost nothing');
  t.same(
    Object.entries(after.refused).filter(([, count]) => count > 0),
    [],
    'nothing was refused',
  );
  checkAccounting(t, nic, after);
});
