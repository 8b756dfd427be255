// SPDX-License-Identifier: MIT
/** Throwaway network namespaces: made for a test, removed with everything in them when it ends. */
import { spawnSync, type SpawnSyncOptionsWithStringEncoding } from 'node:child_process';
import { randomBytes } from 'node:crypto';

import type { Test } from 'tap';

export interface Result {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a program until it ends. */
export function run(
  program: string,
  args: readonly string[],
  options: Partial<SpawnSyncOptionsWithStringEncoding> = {},
): Result {
  const result = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 256 << 20, ...options });
  if (result.error) throw result.error;
  return { status: result.status ?? -1, stdout: result.stdout, stderr: result.stderr };
}

/** Runs a program that has to succeed; returns its standard output. */
export function ok(
  program: string,
  args: readonly string[],
  options: Partial<SpawnSyncOptionsWithStringEncoding> = {},
): string {
  const { status, stdout, stderr } = run(program, args, options);
  if (status !== 0)
    throw new Error(`${program} ${args.join(' ')}: status ${status}: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

/**
 * Creates a namespace that is removed when the test ends, however it ends. Its `lo` is down, which is the kernel's
 * default.
 */
export function testNetns(t: Test): string {
  const name = `vt${randomBytes(4).toString('hex')}`;
  ok('ip', ['netns', 'add', name]);
  t.teardown(() => run('ip', ['netns', 'del', name]));
  return name;
}

/** The same without IPv6 chatter, so that only the test's own packets are on its interfaces. */
export function quietNetns(t: Test): string {
  const name = testNetns(t);
  okIn(name, 'sysctl', ['-qw', 'net.ipv6.conf.default.disable_ipv6=1']);
  return name;
}

/** Arguments that run a program inside a namespace without hiding /sys/fs/bpf from it. */
export const inside = (netns: string): string[] => ['nsenter', `--net=/run/netns/${netns}`, '--'];

/** Runs a program inside a namespace; it has to succeed. */
export function okIn(
  netns: string,
  program: string,
  args: readonly string[],
  options: Partial<SpawnSyncOptionsWithStringEncoding> = {},
): string {
  const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
  return ok(nsenter, [...rest, program, ...args], options);
}

/** What `ip -s link` counts for an interface. */
export function kernelCounters(
  netns: string,
  iface: string,
): { tx: number; rx: number; txBytes: number; rxBytes: number } {
  const [link] = JSON.parse(ok('ip', ['-n', netns, '-json', '-statistics', 'link', 'show', 'dev', iface])) as [
    { stats64: { rx: { packets: number; bytes: number }; tx: { packets: number; bytes: number } } },
  ];
  const { rx, tx } = link.stats64;
  return { tx: tx.packets, rx: rx.packets, txBytes: tx.bytes, rxBytes: rx.bytes };
}
