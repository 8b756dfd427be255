// SPDX-License-Identifier: MIT
/**
 * Pings addresses of a namespace continuously, each a few hundred times a second, and reports how often one did not
 * answer.
 */
import type { Test } from 'tap';

import { Background } from './background';

export class Answering {
  private constructor(private readonly pings: ReadonlyMap<string, Background>) {}

  static async start(t: Test, netns: string, addresses: readonly string[]): Promise<Answering> {
    const pings = new Map(
      addresses.map((address) => [address, Background.start(t, netns, 'ping', ['-i', '0.003', '-W', '1', address])]),
    );
    for (const ping of pings.values()) await ping.says(/icmp_seq=2 /);
    return new Answering(pings);
  }

  /** Stops the pings; returns a line for each address that missed a reply. */
  async missed(): Promise<string[]> {
    const found: string[] = [];
    for (const [address, ping] of this.pings) {
      await ping.stop();
      const [sent, received] = (/(\d+) packets transmitted, (\d+) received/.exec(ping.output) ?? [])
        .slice(1)
        .map(Number);
      // The last reply may still be on its way.
      if (
        sent === undefined ||
        received === undefined ||
        sent - received > 1 ||
        /unreachable|sendmsg/i.test(ping.output)
      )
        found.push(`${address}: ${received} of ${sent}`);
    }
    return found;
  }
}
