// SPDX-License-Identifier: MIT
import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
const koffi = require('koffi') as Koffi;
const libc = koffi.load('libc.so.6');
const setns = libc.func('int setns(int fd, int nstype)') as (fd: number, type: number) => number;
const ifNameToIndex = libc.func('unsigned int if_nametoindex(const char *name)') as (name: string) => number;

const CLONE_NEWNET = 0x40000000;

let created = 0;

/** A network namespace for one test, with a veth pair d0 and p0 in it. Its life is that of the test: close() removes it, with its devices. */
export class TestNetns implements Disposable {
  readonly name: string;

  constructor(label: string) {
    this.name = `libbpf-ts-${label}-${process.pid}-${++created}`;
    ip('netns', 'add', this.name);
    try {
      this.ip('link', 'add', 'd0', 'type', 'veth', 'peer', 'name', 'p0');
      this.ip('link', 'set', 'd0', 'up');
      this.ip('link', 'set', 'p0', 'up');
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** `ip -n NAME ...` */
  ip(...args: string[]): string {
    return ip('-n', this.name, ...args);
  }

  /** `tc -n NAME ...` */
  tc(...args: string[]): string {
    return execFileSync('tc', ['-n', this.name, ...args], { encoding: 'utf8' });
  }

  /** Runs `action` with the calling thread in the namespace; it must be synchronous. */
  inside<T>(action: () => T): T {
    const home = openSync('/proc/thread-self/ns/net', 'r');
    const there = openSync(`/run/netns/${this.name}`, 'r');
    try {
      if (setns(there, CLONE_NEWNET) !== 0) throw new Error('setns into the test namespace failed');
      try {
        return action();
      } finally {
        if (setns(home, CLONE_NEWNET) !== 0) process.abort();
      }
    } finally {
      closeSync(there);
      closeSync(home);
    }
  }

  /** Index of a device in the namespace. */
  ifindex(device: string): number {
    return this.inside(() => ifNameToIndex(device));
  }

  [Symbol.dispose](): void {
    ip('netns', 'del', this.name);
  }
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8' });
}
