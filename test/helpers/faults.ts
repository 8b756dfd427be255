// SPDX-License-Identifier: MIT
/** Faults of a running attachment: each hits one part of it, and says what becomes of the attachment. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';

import { openTcLink } from 'libbpf-ts';

import { ControlClient } from '../../src/control/socket';
import { pinDirectory } from '../../src/state/bpffs';
import { stateDirectory } from '../../src/state/paths';
import { controlSocket, type Attachment } from '../../src/state/store';
import { cliOk, MAIN } from './cli';
import { ok, run } from './netns';
import type { Random } from './random';

export interface FaultTarget {
  attachment: Attachment;
  netns: string;
  random: Random;
  /** A hook that ends its own thread after a while. */
  dyingHook: string;
}

export interface Fault {
  name: string;
  /**
   * `goesOn`: the same controller keeps looping. `ends`: it ends by itself and leaves nothing. `crashes`: the next
   * attach or detach finds a crashed attachment.
   */
  outcome: 'goesOn' | 'ends' | 'crashes';
  act: (target: FaultTarget) => unknown;
}

const nap = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const stateFile = ({ attachment: { id } }: FaultTarget, name: string): string => path.join(stateDirectory(id), name);
const pin = ({ attachment: { id } }: FaultTarget, name: string): string => path.join(pinDirectory(id), name);
const inPeerNetns = (program: string, ...args: string[]): string =>
  ok('nsenter', ['--net=/run/vnet-bpf/netns', '--', program, ...args]);
const ip = ({ netns }: FaultTarget, ...args: string[]): string => ok('ip', ['-n', netns, ...args]);

async function inside(target: FaultTarget, part: string): Promise<void> {
  using client = await ControlClient.connect(controlSocket(target.attachment.id));
  await client.ask({ order: 'fault', part });
}

/** Detaches one of our programs, as `bpftool link detach` does, and removes its pin. */
const detached = (name: string, file: string): Fault => ({
  name: `program ${name} detached`,
  outcome: 'ends',
  act: (target) => openTcLink(pin(target, file)).detach(),
});

const linkSet = (name: string, link: (id: string) => string, ...words: string[]): Fault => ({
  name,
  outcome: 'goesOn',
  act: ({ attachment: { id } }) => inPeerNetns('ip', 'link', 'set', link(id), ...words),
});

async function sayNonsense({ attachment: { id }, random }: FaultTarget): Promise<void> {
  const socket = net.connect(controlSocket(id));
  socket.on('error', () => undefined);
  for (let i = 0; i < 50; i++)
    socket.write(Buffer.from(Array.from({ length: random.between(1, 200) }, () => random.between(0, 255))));
  socket.write('\n{"order":"__proto__"}\nnull\n[]\n');
  await nap(200);
  socket.destroy();
}

async function killRecorder({ netns, random }: FaultTarget): Promise<void> {
  const recorder = spawn(process.execPath, [MAIN, 'record', 'vnet0', '--netns', netns, '-w', '/dev/null'], {
    stdio: 'ignore',
  });
  await nap(random.between(300, 900));
  recorder.kill('SIGKILL');
}

/** Causes more netlink messages than the controller's socket holds while the controller is stopped. */
async function overflowWatch({ attachment: { pid }, netns }: FaultTarget): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  const change = Array.from({ length: 100 }, (_, i) => `link set vnet0 mtu ${1400 + i}`);
  for (let round = 0; round < 8; round++) run('ip', ['-n', netns, '-batch', '-'], { input: change.join('\n') });
  process.kill(pid, 'SIGCONT');
}

async function withoutDescriptors({ attachment: { pid }, random }: FaultTarget): Promise<void> {
  const limit = (count: string): string => ok('prlimit', ['--pid', String(pid), `--nofile=${count}:`]);
  limit('12');
  await nap(random.between(500, 2500));
  limit('1024');
}

async function readOnlyState(target: FaultTarget): Promise<void> {
  const directory = stateDirectory(target.attachment.id);
  ok('mount', ['--bind', directory, directory]);
  ok('mount', ['-o', 'remount,bind,ro', directory]);
  try {
    ip(target, 'link', 'set', 'vnet0', 'name', 'other');
    await nap(1200);
    ip(target, 'link', 'set', 'other', 'name', 'vnet0');
    await nap(100);
  } finally {
    ok('umount', ['-l', directory]);
  }
}

/** Faults of the parts in the supervisor's table (docs/internals.md). */
export const FAULTS: readonly Fault[] = [
  { name: 'main thread killed', outcome: 'crashes', act: ({ attachment: { pid } }) => process.kill(pid, 'SIGKILL') },
  {
    name: 'main thread: an uncaught error',
    outcome: 'crashes',
    act: (target) => inside(target, 'main-thread'),
  },
  {
    name: 'main thread stopped for a while',
    outcome: 'goesOn',
    act: async ({ attachment: { pid }, random }) => {
      process.kill(pid, 'SIGSTOP');
      await nap(random.between(100, 1500));
      process.kill(pid, 'SIGCONT');
    },
  },
  { name: 'polling thread ended', outcome: 'ends', act: (target) => inside(target, 'polling-thread') },
  {
    name: 'hook thread ended by its hook',
    outcome: 'goesOn',
    act: ({ netns, dyingHook }) => cliOk(['hook', 'vnet0', dyingHook, '--netns', netns]),
  },
  { name: 'recorder killed', outcome: 'goesOn', act: killRecorder },
  {
    name: 'waiting room removed',
    outcome: 'ends',
    act: ({ attachment: { id } }) => inPeerNetns('ip', 'link', 'del', `vx${id}q0`),
  },
  {
    name: "waiting room's tbf removed",
    outcome: 'goesOn',
    act: ({ attachment: { id } }) => inPeerNetns('tc', 'qdisc', 'del', 'dev', `vr${id}q0`, 'root'),
  },
  linkSet("waiting room's entry set down", (id) => `vr${id}q0`, 'down'),
  linkSet("waiting room's exit set down", (id) => `vx${id}q0`, 'down'),
  linkSet('peer set down', (id) => `vp${id}`, 'down'),
  {
    name: 'peer removed',
    outcome: 'ends',
    act: ({ attachment: { id } }) => inPeerNetns('ip', 'link', 'del', `vp${id}`),
  },
  { name: 'peer namespace unmounted', outcome: 'goesOn', act: () => ok('umount', ['-l', '/run/vnet-bpf/netns']) },
  {
    name: 'all pins removed',
    outcome: 'goesOn',
    act: ({ attachment: { id } }) => fs.rmSync(pinDirectory(id), { recursive: true }),
  },
  { name: "the ring's pin removed", outcome: 'goesOn', act: (target) => fs.rmSync(pin(target, 'ring0')) },
  detached('tx', 'tx_link'),
  detached('sink', 'sink_link'),
  detached('resegment', 'resegment_link'),
  detached('release', 'release0_link'),
  { name: 'netlink socket of the watch closed', outcome: 'goesOn', act: (target) => inside(target, 'watch') },
  { name: 'netlink socket of the watch overrun', outcome: 'goesOn', act: overflowWatch },
  { name: 'no descriptors for a while', outcome: 'goesOn', act: withoutDescriptors },
  {
    name: 'log removed',
    outcome: 'goesOn',
    act: (target) => fs.rmSync(stateFile(target, 'log'), { recursive: true, force: true }),
  },
  {
    name: 'log is a directory',
    outcome: 'goesOn',
    act: (target) => {
      fs.rmSync(stateFile(target, 'log'), { recursive: true, force: true });
      fs.mkdirSync(stateFile(target, 'log'));
    },
  },
  { name: 'record removed', outcome: 'goesOn', act: (target) => fs.rmSync(stateFile(target, 'state.json')) },
  {
    name: 'record damaged',
    outcome: 'goesOn',
    act: (target) => fs.truncateSync(stateFile(target, 'state.json'), target.random.between(0, 500)),
  },
  { name: 'vnet0 renamed while the state is read-only', outcome: 'goesOn', act: readOnlyState },
  { name: 'lock removed', outcome: 'goesOn', act: (target) => fs.rmSync(stateFile(target, 'lock')) },
  {
    name: 'state directory removed',
    outcome: 'goesOn',
    act: ({ attachment: { id } }) => fs.rmSync(stateDirectory(id), { recursive: true }),
  },
  { name: 'control socket removed', outcome: 'goesOn', act: ({ attachment: { id } }) => fs.rmSync(controlSocket(id)) },
  { name: 'nonsense on the control socket', outcome: 'goesOn', act: sayNonsense },
  { name: 'vnet0 deleted', outcome: 'ends', act: (target) => ip(target, 'link', 'del', 'vnet0') },
  {
    name: 'vnet0 moved to another namespace',
    outcome: 'ends',
    act: (target) => ip(target, 'link', 'set', 'vnet0', 'netns', '1'),
  },
  {
    name: 'vnet0 renamed back and forth',
    outcome: 'goesOn',
    act: async (target) => {
      for (let i = 0; i < 5; i++) {
        ip(target, 'link', 'set', 'vnet0', 'name', 'other');
        await nap(target.random.between(0, 60));
        ip(target, 'link', 'set', 'other', 'name', 'vnet0');
      }
    },
  },
  {
    name: 'vnet0 set down, renamed, set up',
    outcome: 'goesOn',
    act: async (target) => {
      for (const words of [['down'], ['name', 'other'], ['name', 'vnet0'], ['up']]) {
        ip(target, 'link', 'set', words[1] === 'vnet0' ? 'other' : 'vnet0', ...words);
        await nap(target.random.between(0, 60));
      }
    },
  },
  {
    name: 'MTU of vnet0 lowered',
    outcome: 'goesOn',
    act: (target) => ip(target, 'link', 'set', 'vnet0', 'mtu', String(target.random.between(600, 1500))),
  },
];
