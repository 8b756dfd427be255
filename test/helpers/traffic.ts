// SPDX-License-Identifier: MIT
/** Traffic between programs of our own inside a test's namespace. */
import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

import type { Test } from 'tap';

import { ROOT, SLOW, type Attached } from './cli';
import { macOf } from './frames';
import { inside, ok } from './netns';
import type { TcpResult } from './tcp-transfer';
import { toolPath } from './tool-process';
import type { Roles } from './traffic-tool';
import type { UdpReceiveResult } from './udp-receiver';
import type { UdpSendOptions, UdpSendResult } from './udp-sender';

/** Factor by which large counts shrink on a slow machine: VNET_BPF_TEST_SCALE, or the factor by which timeouts grow. */
const SCALE = Number(process.env['VNET_BPF_TEST_SCALE'] ?? 1 / SLOW);

export const scaled = (count: number): number => Math.max(1, Math.round(count * SCALE));

/**
 * The reason why a test that needs these programs cannot run, or false. A program may be absent only if the environment
 * says that there are few tools (VMs: VNET_BPF_TEST_TOOLS=minimal); otherwise the test fails.
 */
export function withoutTools(...programs: string[]): string | false {
  if (process.env['VNET_BPF_TEST_TOOLS'] !== 'minimal') return false;
  const missing = programs.filter((program) => spawnSync('which', [program]).status !== 0);
  return missing.length > 0 ? `this small system has no ${missing.join(', ')}` : false;
}

/** Makes the neighbour permanent: ARP would send a request now and then, which would upset exact counts. */
export function withoutArp({ netns, iface }: Pick<Attached, 'netns' | 'iface'>, address: string): void {
  ok('ip', ['-n', netns, 'neigh', 'replace', address, 'lladdr', macOf(netns, iface), 'dev', iface, 'nud', 'permanent']);
}

export interface Running<Result> {
  /** Resolves when it listens, or when it could start sending. */
  ready: Promise<void>;
  /** Lets a sender start. */
  go(): void;
  /** Informs a receiver of datagrams that no more will be sent. */
  enough(): void;
  /** Resolves when it has ended well. */
  result: Promise<Result>;
}

/** Starts one end of a stream in a namespace; it is killed when the test ends. */
export function startTraffic<Role extends keyof Roles>(
  t: Test,
  netns: string,
  role: Role,
  options: Roles[Role]['options'],
): Running<Roles[Role]['result']> {
  const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
  // Each executes the next in its own process, so the kill reaches node. tap puts a module loader
  // into NODE_OPTIONS of every child; it is slow to start and does not know .ts.
  const command = [
    ...rest,
    'env',
    '-u',
    'NODE_OPTIONS',
    process.execPath,
    toolPath('traffic-tool'),
    role,
    JSON.stringify(options),
  ];
  const child = spawn(nsenter, command, { cwd: ROOT, stdio: ['pipe', 'pipe', 'pipe'] });
  t.teardown(() => child.exitCode === null && child.kill('SIGKILL'));
  let errors = '';
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const lines: string[] = [];
  let heard = (): void => {};
  const ready = new Promise<void>((resolve) => (heard = resolve));
  createInterface(child.stdout).on('line', (line) => (line === 'ready' ? heard() : lines.push(line)));
  const result = new Promise<Roles[Role]['result']>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => {
      const last = lines.at(-1);
      if (status === 0 && last !== undefined) resolve(JSON.parse(last) as Roles[Role]['result']);
      else reject(new Error(`${role} ended with ${status ?? signal}: ${errors.trim()}`));
    });
  });
  result.catch(() => {}); // a caller that awaits it sees the error; a test that has failed before does not await it
  child.stdin.on('error', () => {}); // it ended without listening: its exit status says why
  return {
    ready: Promise.race([ready, result.then(() => {})]),
    go: () => void child.stdin.write('\n'),
    enough: () => void child.stdin.end(),
    result,
  };
}

export interface UdpRun {
  sender: UdpSendResult;
  receiver: UdpReceiveResult;
}

/** Ports below those that the kernel gives to connecting sockets (net.ipv4.ip_local_port_range). */
const [FIRST_PORT, END_OF_PORTS] = [20_000, 32_768];
let portsTaken = 0;
/** A port that no other stream of this test file uses, until thousands more have been handed out. */
export const freePort = (): number => FIRST_PORT + (portsTaken++ % (END_OF_PORTS - FIRST_PORT));

/**
 * Sends datagrams to an address of the namespace, through the loop, and counts both ends. The receiver gives up after
 * `idleMs` without a datagram; a test in which the loop may pause needs more.
 */
export async function udpRun(
  t: Test,
  netns: string,
  options: Omit<UdpSendOptions, 'port'>,
  idleMs = Math.max(1000, 300 * SLOW),
): Promise<UdpRun> {
  const port = freePort();
  const { to, bytes, packets } = options;
  const receiver = startTraffic(t, netns, 'udp-receive', { at: to, port, bytes, packets, idleMs });
  const sender = startTraffic(t, netns, 'udp-send', { ...options, port });
  await Promise.all([receiver.ready, sender.ready]);
  sender.go();
  const sent = await sender.result;
  receiver.enough();
  return { sender: sent, receiver: await receiver.result };
}

/** Moves bytes over one connection to an address of the namespace, through the loop. */
export async function tcpRun(
  t: Test,
  netns: string,
  to: string,
  bytes: number,
): Promise<{ sent: TcpResult; received: TcpResult }> {
  const port = freePort();
  const receiver = startTraffic(t, netns, 'tcp-receive', { at: to, port });
  const sender = startTraffic(t, netns, 'tcp-send', { to, port, bytes });
  await Promise.all([receiver.ready, sender.ready]);
  sender.go();
  return { sent: await sender.result, received: await receiver.result };
}
