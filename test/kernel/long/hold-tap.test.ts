// SPDX-License-Identifier: MIT
/**
 * The same flat-out sender against the product and against a TAP device, both slowed alike, and what each of them
 * loses.
 */
import t, { type Test } from 'tap';

import { syncHairpin } from '../../../src/link/hairpin';
import { linkByName } from '../../../src/link/links';
import { Netns } from '../../../src/link/netns';
import { cannotRun, checkAccounting, SLOW } from '../../helpers/cli';
import { checkReceived, startFlood, type FloodReceived, type FloodSent } from '../../helpers/flood';
import { macOf } from '../../helpers/frames';
import { kernelCounters, ok, quietNetns } from '../../helpers/netns';
import { slowNic } from '../../helpers/slow-nic';
import type { TapResult } from '../../helpers/tap-echo';
import { startTool } from '../../helpers/tool-process';
import { scaled } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

const ADDRESS = '10.77.0.1';
const REST_US = 3_000;
const PACKETS = 60_000;
const BYTES = 64;

interface Outcome {
  sent: FloodSent;
  received: FloodReceived;
}

async function flood(t: Test, netns: string): Promise<Outcome> {
  const { sender, receiver } = await startFlood(t, netns, { address: ADDRESS, bytes: BYTES, packets: scaled(PACKETS) });
  const sent = await sender.result;
  return { sent, received: await receiver.stop() };
}

/** A TAP device with an echo program, whose own address is looped as the product does it. */
async function tapNetns(t: Test): Promise<string> {
  const netns = quietNetns(t);
  const iface = 'tap0';
  await startTool<TapResult>(t, netns, 'tap-echo', '-', { iface, restUs: REST_US }).ready;
  ok('ip', ['-n', netns, 'link', 'set', 'dev', iface, 'up']);
  ok('ip', ['-n', netns, 'addr', 'add', `${ADDRESS}/24`, 'dev', iface]);
  ok('ip', ['-n', netns, 'neigh', 'replace', ADDRESS, 'lladdr', macOf(netns, iface), 'dev', iface, 'nud', 'permanent']);
  using namespace = Netns.named(netns);
  namespace.run(() => {
    const link = linkByName(iface);
    if (link) syncHairpin(iface, link.ifindex, [{ family: 4, address: ADDRESS }], null);
  });
  return netns;
}

const row = (name: string, { sent, received }: Outcome): string => {
  const lost = sent.sent - received.received;
  const columns = [
    sent.sent,
    Math.round(sent.sent / sent.seconds),
    received.received,
    lost,
    `${((100 * lost) / sent.sent).toFixed(1)} %`,
  ];
  return `${name.padEnd(10)}${columns.map((column) => String(column).padStart(12)).join('')}`;
};

t.test('a flat-out sender and a slow other end', { skip: cannotRun }, async (t) => {
  const nic = slowNic(t, { address: ADDRESS, delayUs: REST_US });
  const ours = await flood(t, nic.netns);
  const after = await nic.atRest();
  const tap = await tapNetns(t);
  const theirs = await flood(t, tap);
  const { tx } = kernelCounters(tap, 'tap0');
  t.comment(
    `${''.padEnd(10)}${['sent', 'per second', 'received', 'lost', ''].map((title) => title.padStart(12)).join('')}`,
  );
  t.comment(row('vnet-bpf', ours));
  t.comment(row('TAP', theirs));
  t.comment(`TAP counts ${tx} of them as transmitted`);
  checkReceived(t, ours.received, ours.sent.sent);
  t.equal(after.held.dropped, 0, 'the waiting room lost nothing');
  checkAccounting(t, nic, after);
  // The kernel drops frames for which its queue to the process has no space. This is a comparison, not a promise.
  t.ok(theirs.received.received > 0, 'the TAP device loops');
});
