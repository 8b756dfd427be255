// SPDX-License-Identifier: MIT
/**
 * A network namespace with a looping interface in it, for as long as something needs it. Everything is removed by
 * close() or by the end of the process, however it ends.
 */
import * as fs from 'node:fs';

import { ipIfPossible } from '../link/ip';
import { addNamedNetns } from '../link/named-netns';
import { Netns } from '../link/netns';
import { command } from '../native/command';
import { randomBytes } from '../native/random';
import { attach } from '../nic/attach';
import type { Nic } from '../nic/nic';
import { toAttachOptions, type NicOptions } from '../nic/nic-options';
import { guard, type Guardian } from './guardian';

export interface ThrowawayOptions extends Omit<NicOptions, 'netns'> {
  /** Name of the interface; `vnet0` unless given. */
  interface?: string;
  /** IPv6 in the namespace; off unless an address asks for it, so that only the user's own frames are there. */
  ipv6?: boolean;
}

export class Throwaway implements AsyncDisposable {
  private open = true;

  private constructor(
    /** Name of the namespace, as `ip netns` has it. */
    readonly netns: string,
    readonly nic: Nic,
    private readonly guardian: Guardian,
  ) {}

  /** Makes namespace, called `prefix` and a random number, and interface. Needs root. Nothing is left if it fails. */
  static async create(prefix: string, { interface: iface = 'vnet0', ipv6, ...options }: ThrowawayOptions): Promise<Throwaway> {
    toAttachOptions(iface, options);
    const name = prefix + randomBytes(4).toString('hex');
    const guardian = guard(name, iface);
    try {
      addNamedNetns(name);
      const wantsIpv6 = ipv6 ?? (options.addresses ?? []).some((address) => address.includes(':'));
      using netns = Netns.named(name);
      if (!wantsIpv6 && fs.existsSync('/proc/sys/net/ipv6')) netns.run(() => command('sysctl', ['-qw', 'net.ipv6.conf.default.disable_ipv6=1']));
      netns.run(() => command('ip', ['link', 'set', 'dev', 'lo', 'up']));
      // attach() leaves nothing behind when it fails, and is the last that can.
      return new Throwaway(name, await attach(iface, { ...options, netns: name }), guardian);
    } catch (error) {
      guardian.dismiss();
      ipIfPossible(['netns', 'del', name]);
      throw error;
    }
  }

  /** Removes everything. Idempotent. */
  async close(): Promise<void> {
    if (!this.open) return;
    this.open = false;
    try {
      await this.nic.detach();
    } finally {
      ipIfPossible(['netns', 'del', this.netns]);
      this.guardian.dismiss();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
