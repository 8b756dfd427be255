// SPDX-License-Identifier: MIT
/**
 * Received frames that the user sends on to the egress of a looping interface, where they have to wait: they are still
 * charged to the poller's socket, and the poller must not wait for them.
 */
import t, { type Test } from 'tap';

import { frameAccounting } from '../../src/datapath/stats';
import { attachedIn, cannotRun, SLOW, type Attached } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { frameOf } from '../helpers/frames';
import { atRest, look } from '../helpers/loop';
import { ok, quietNetns } from '../helpers/netns';
import { RawSocket } from '../helpers/raw-socket';

t.setTimeout(120_000 * SLOW);

/** More than the buffer of a poller's socket takes: 16 MiB, of which a frame of this size uses 2,304 bytes. */
const FRAMES = 12_000;
const FRAME = frameOf(1400);
const SEND_BUFFER_BYTES = 64 << 20;

function sendOn(from: Attached, to: Attached): void {
  // Without tcx, our program is attached to it already.
  if (look(from).attach === 'tcx') ok('tc', ['-n', from.netns, 'qdisc', 'add', 'dev', from.iface, 'clsact']);
  // prettier-ignore
  ok('tc', ['-n', from.netns, 'filter', 'add', 'dev', from.iface, 'ingress', 'protocol', 'all', 'u32', 'match', 'u32', '0', '0',
    'action', 'mirred', 'egress', 'redirect', 'dev', to.iface]);
}

/**
 * Sends frames that circulate until the filters are removed: most of them wait, and sooner or later all are charged to
 * the pollers' sockets.
 */
async function goRound(t: Test, names: readonly string[], args: readonly string[] = []): Promise<void> {
  const netns = quietNetns(t);
  const nics = names.map((name) => attachedIn(t, netns, ['--ring-size', '256K', ...args], name));
  nics.forEach((nic, i) => sendOn(nic, nics[(i + 1) % nics.length] as Attached));
  const sockets = nics.map((nic) => RawSocket.open(t, netns, nic.iface, { sendBufferBytes: SEND_BUFFER_BYTES }));
  for (const socket of sockets) for (let sent = 0; sent < FRAMES; sent++) socket.send(FRAME);
  for (const nic of nics)
    t.ok(
      await eventually(() => look(nic).rx.packets > 2 * FRAMES),
      `${nic.iface}: ${look(nic).rx.packets} have been received`,
    );
  for (const { iface } of nics) ok('tc', ['-n', netns, 'filter', 'del', 'dev', iface, 'ingress']);
  for (const nic of nics) {
    const stats = await atRest(nic);
    t.same(
      { state: stats.state, held: stats.held.now, dropped: stats.held.dropped },
      { state: 'running', held: 0, dropped: 0 },
      'all that waited came out',
    );
    t.ok(frameAccounting(stats).balanced);
  }
}

t.test('to the same interface', { skip: cannotRun }, (t) => goRound(t, ['vnet0']));
t.test('to the same, with two queues', { skip: cannotRun }, (t) => goRound(t, ['vnet0'], ['--queues', '2']));
t.test('from one to another and back', { skip: cannotRun }, (t) => goRound(t, ['vnet0', 'vnet1']));
