// SPDX-License-Identifier: MIT
/**
 * A network namespace with a looping interface in it, for as long as it is needed. Everything is removed by close() or
 * when the process ends, however it ends.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import type { Socket } from 'node:net';
import * as path from 'node:path';

import { addNamedNetns, Netns, removeNamedNetns } from '../link/netns';
import { command } from '../native/command';
import { programEnvironment, SYSTEM_PATH } from '../native/inherited';
import { randomBytes } from '../native/random';
import { attach, type Nic, type NicOptions, toAttachOptions } from '../nic/nic';

// The guardian cleans up after a test or a `vnet-bpf run` that can no longer do so: a shell that waits until our end of
// a pipe is closed, which happens however this process ends, SIGKILL included. Programs started in the namespace would
// keep it alive without a name, so they are ended first. That takes no further process, because these programs may use
// up a control group's limit: where `sleep` cannot be started, many shells end, by way of the trap.

const MAIN = path.join(__dirname, '..', 'cli', 'main.js');
const SCRIPT = `
trap '' HUP INT TERM
read -r dismissed && exit
exec 2>/dev/null >/dev/null
node=$1 main=$2 netns=$3
are_ended() {
  found=
  for process in /proc/[0-9]*; do
    [ "$process/ns/net" -ef "/run/netns/$netns" ] && found=yes && kill -"$1" "\${process#/proc/}"
  done
  [ -z "$found" ]
}
finish() {
  for again in 1 2 3 4 5 6 7 8 9 10; do are_ended KILL && break; done
  "$node" "$main" detach --all --netns "$netns"
  ip netns del "$netns"
}
trap finish EXIT
are_ended TERM
for again in 1 2 3 4 5 6 7 8 9 10; do
  sleep 0.1
  are_ended 0 && exit
done
`;

/**
 * Runs `start` in the namespace of pid 1, where no `vnet-bpf run` around this one ends what it starts; or here, if that
 * is forbidden.
 */
function outside<T>(start: () => T): T {
  try {
    using netns = Netns.at('/proc/1/ns/net');
    return netns.run(start);
  } catch {
    return start();
  }
}

export interface Guardian {
  /** Tells the guardian that nothing is left to clean up. */
  dismiss(): void;
}

export function guard(netns: string): Guardian {
  // A session of its own: Ctrl-C is meant for the test, not for the process that cleans up after it.
  const child = outside(() =>
    spawn('/bin/sh', ['-c', SCRIPT, 'guardian', process.execPath, MAIN, netns], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { ...programEnvironment(), PATH: SYSTEM_PATH },
    }),
  );
  // No process, or no descriptor, was free: this process then cleans up itself, unless it is killed.
  child.on('error', () => undefined);
  // If no descriptor was free for it, the child has no stream.
  const stdin = child.stdin as unknown as Socket | undefined;
  stdin?.on('error', () => undefined);
  child.unref();
  stdin?.unref();
  return { dismiss: () => void stdin?.end('dismissed\n') };
}

export interface ThrowawayOptions extends Omit<NicOptions, 'netns'> {
  /** Name of the interface; `vnet0` by default. */
  interface?: string;
  /** Enables IPv6 in the namespace; by default only if an address needs it, so that all frames there are the user's. */
  ipv6?: boolean;
}

export class Throwaway implements AsyncDisposable {
  private open = true;

  private constructor(
    /** Name of the namespace for `ip netns`. */
    readonly netns: string,
    readonly nic: Nic,
    private readonly guardian: Guardian,
  ) {}

  /**
   * Makes a namespace, named `prefix` and a random number, and an interface. Needs root. Leaves nothing behind if it
   * fails.
   */
  static async create(
    prefix: string,
    { interface: iface = 'vnet0', ipv6, ...options }: ThrowawayOptions,
  ): Promise<Throwaway> {
    toAttachOptions(iface, options);
    const name = prefix + randomBytes(4).toString('hex');
    const guardian = guard(name);
    try {
      addNamedNetns(name);
      const wantsIpv6 = ipv6 ?? (options.addresses ?? []).some((address) => address.includes(':'));
      using netns = Netns.named(name);
      if (!wantsIpv6 && fs.existsSync('/proc/sys/net/ipv6'))
        netns.run(() => command('sysctl', ['-qw', 'net.ipv6.conf.default.disable_ipv6=1']));
      netns.run(() => command('ip', ['link', 'set', 'dev', 'lo', 'up']));
      // attach() is the last step that can fail, and leaves nothing behind if it does.
      return new Throwaway(name, await attach(iface, { ...options, netns: name }), guardian);
    } catch (error) {
      guardian.dismiss();
      removeNamedNetns(name);
      throw error;
    }
  }

  /** Removes everything. If that fails, the guardian tries again when this process has ended. Idempotent. */
  async close(): Promise<void> {
    if (!this.open) return;
    this.open = false;
    await this.nic.detach();
    removeNamedNetns(this.netns);
    this.guardian.dismiss();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
