// SPDX-License-Identifier: MIT
/**
 * Each part of an attachment is killed, stopped or made to fail at a random moment under load. After each fault, either
 * the same loop continues and its frame accounting balances, or it has ended and nothing is left. After a crash, the
 * next attach adopts what is left, or detach removes it. VNET_BPF_TEST_FAULT_ROUNDS=500 for the full run.
 */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { frameAccounting, type Stats } from '../../src/datapath/stats';
import { pinDirectory } from '../../src/state/bpffs';
import { stateDirectory } from '../../src/state/paths';
import { controlSocket, type Attachment } from '../../src/state/store';
import { startPersistentSender } from '../helpers/blocking-sender';
import { attachmentOf, attachedIn, cannotRun, cli, SLOW, type Attached } from '../helpers/cli';
import { eventually, listed, lives } from '../helpers/controller';
import { FAULTS, type Fault } from '../helpers/faults';
import { hookFile } from '../helpers/hook-file';
import { LOOP_RULES } from '../helpers/looped-rules';
import { ok, quietNetns, run } from '../helpers/netns';
import { Random } from '../helpers/random';
import type { ToolProcess } from '../helpers/tool-process';
import { scaled, withoutArp } from '../helpers/traffic';

const ROUNDS = Number(process.env['VNET_BPF_TEST_FAULT_ROUNDS'] ?? scaled(30));
const ADDRESS = '10.77.0.1';
/** Time in which a removed part is noticed, within a second, and restored; a loaded machine takes longer. */
const NOTICED_MS = 8000;

t.setTimeout((60_000 + ROUNDS * 15_000) * SLOW);

/** A hook that passes some frames, then ends its thread. */
const DYING = `let left = 300;
export default () => {
  if (left-- === 0) process.exit();
  return 'pass';
};`;

const ATTACH = ['--addr', `${ADDRESS}/24`, '--ring-size', '256K'];
/** The ring fills, so frames are held when the fault comes. */
const ENV = { VNET_BPF_TEST_FAULTS: '1', VNET_BPF_TEST_POLL_DELAY_US: '2000' };

/** All of them in some order, then all in another. */
function* inRandomOrder(random: Random): Generator<Fault> {
  for (;;) {
    const left = [...FAULTS];
    while (left.length > 0) yield* left.splice(random.between(0, left.length - 1), 1);
  }
}

/** A part that is not as it was when the interface was attached, or null. */
function missing(nic: Attached, attachment: Attachment): string | null {
  try {
    return part(nic, attachment);
  } catch (error) {
    return (error as Error).message; // a record that is being put back
  }
}

function part({ netns, iface }: Attached, { id, pid }: Attachment): string | null {
  const entry = listed(netns, iface);
  if (entry?.state !== 'running' || entry.pid !== pid)
    return `list says ${entry?.state ?? 'nothing'}, process ${entry?.pid ?? 'none'} instead of ${pid}`;
  const files = [
    controlSocket(id),
    ...[
      'ring0',
      'control',
      'counters',
      'batch',
      'trace',
      'tx_link',
      'sink_link',
      'resegment',
      'resegment_link',
      'release0_link',
    ].map((name) => `${pinDirectory(id)}/${name}`),
  ];
  const gone = files.filter((file) => !fs.existsSync(file));
  if (gone.length > 0) return `${gone.join(', ')} not there`;
  const links = peerNetnsLinks();
  if (!new RegExp(`vp${id}.*,UP`).test(links)) return 'the peer is not up';
  return new RegExp(`vr${id}q0.*,UP.* qdisc tbf`).test(links) ? null : 'the waiting room is not up, or has no tbf';
}

const peerNetnsLinks = (): string =>
  run('sh', ['-c', '[ ! -s /run/vnet-bpf/netns ] && nsenter --net=/run/vnet-bpf/netns ip -o link 2>/dev/null']).stdout;

/** With the sender paused, what does not come to rest or does not balance; null if all is well. */
async function unrest(nic: Attached, sender: ToolProcess<unknown>): Promise<string | null> {
  process.kill(sender.pid, 'SIGSTOP');
  try {
    const balances = ({ queue, held, state }: Stats): boolean =>
      queue.packets === 0 && held.now === 0 && state === 'running';
    let stats = await nic.atRest();
    await eventually(() => balances((stats = nic.stats())) && frameAccounting(stats).balanced, 10_000);
    const sums = frameAccounting(stats);
    if (!balances(stats) || !sums.balanced)
      return `${sums.in} in, ${sums.out} out, ${stats.queue.packets} in the ring, ${stats.held.now} held, ${stats.state}`;
    const ping = (): boolean =>
      run('ip', ['netns', 'exec', nic.netns, 'ping', '-c', '1', '-W', '1', '-q', ADDRESS]).status === 0;
    return (await eventually(ping, 5000)) ? null : 'no answer to a ping';
  } finally {
    process.kill(sender.pid, 'SIGCONT');
  }
}

/** What is left of an attachment that has ended; null if nothing is. */
function residue(netns: string, { id, pid }: Attachment): string | null {
  const left = [stateDirectory(id), pinDirectory(id)].filter((file) => fs.existsSync(file));
  if (left.length > 0) return left.join(', ');
  if (/vnet0|other/.test(ok('ip', ['-n', netns, '-o', 'link']))) return 'the interface';
  if (run('ip', ['-o', 'link', 'show', 'dev', 'vnet0']).status === 0) return 'the interface, where it was moved to';
  if (LOOP_RULES.test(ok('ip', ['-n', netns, 'rule']))) return 'rules';
  if (peerNetnsLinks().includes(id)) return 'links in the peer namespace';
  return lives(pid) ? `process ${pid}` : null;
}

t.test(`${ROUNDS} faults`, { skip: cannotRun }, async (t) => {
  const random = Random.announced(t);
  const netns = quietNetns(t);
  const dyingHook = hookFile(t, 'dying.mjs', DYING);
  let nic: Attached | null = null;
  let sender: ToolProcess<unknown> | null = null;
  let round = 0;
  for (const fault of inRandomOrder(random)) {
    if (++round > ROUNDS) break;
    if (!nic) {
      nic = attachedIn(t, netns, ATTACH, 'vnet0', ENV);
      withoutArp(nic, ADDRESS);
    }
    if (!sender) {
      sender = startPersistentSender(t, netns, { ifindex: 0, address: ADDRESS });
      await sender.ready;
    }
    const before = attachmentOf(nic);
    await new Promise((resolve) => setTimeout(resolve, random.between(50, 600)));
    const what = `${round}: ${fault.name}`;
    await fault.act({ attachment: before, netns, random, dyingHook });
    if (fault.outcome === 'goesOn') {
      let why: string | null = '';
      await eventually(() => (why = missing(nic as Attached, before)) === null, NOTICED_MS);
      // Checked while it is still under load: the next fault may need the part.
      t.equal(why ?? (await unrest(nic, sender)), null, `${what}: it goes on, whole, and the accounting balances`);
    } else if (fault.outcome === 'ends') {
      await eventually(() => residue(netns, before) === null, NOTICED_MS);
      t.equal(residue(netns, before), null, `${what}: it ends, and nothing is left`);
      nic = null;
    } else {
      nic = await afterCrash(t, what, nic, before, sender, random);
    }
    if (t.counts.fail > 0) break; // the next fault would start from an unknown state
  }
  if (nic) {
    const last = attachmentOf(nic);
    t.equal(cli(['detach', 'vnet0', '--netns', netns]).status, 0, 'detach');
    t.equal(residue(netns, last), null, 'nothing is left in the end');
  }
});

/** Adopted, or removed. */
async function afterCrash(
  t: Test,
  what: string,
  nic: Attached,
  before: Attachment,
  sender: ToolProcess<unknown>,
  random: Random,
): Promise<Attached | null> {
  const where = ['vnet0', '--netns', nic.netns];
  t.ok(await eventually(() => listed(nic.netns, nic.iface)?.state === 'crashed'), `${what}: list says that it crashed`);
  if (random.chance(50)) {
    t.equal(cli(['detach', ...where]).status, 0, `${what}: detach works`);
    t.equal(residue(nic.netns, before), null, `${what}: detach leaves nothing`);
    return null;
  }
  const { status, stderr } = cli(['attach', ...where, ...ATTACH, '--daemon'], ENV);
  t.equal(status, 0, `${what}: attach works ${stderr}`);
  t.equal(attachmentOf(nic).id, before.id, `${what}: it adopts it`);
  t.equal(await unrest(nic, sender), null, `${what}: the accounting balances`);
  return nic;
}
