// SPDX-License-Identifier: MIT
/**
 * reflect: every address answers. Each address that is asked for is found at one Ethernet address, and what is sent
 * there comes back from there, as a ping does, or a UDP echo.
 *
 *   vnet-bpf attach vnet0 --addr 10.77.0.1/24 --hook reflect.ts
 *   ping 10.77.0.99
 */
import { echoReply, fixChecksums, neighbourReply, type Hook } from 'vnet-bpf/hooks';

const MIRROR = '02:00:00:00:00:99';

const hook: Hook = {
  frame(frame, nic) {
    const answer = neighbourReply(frame, MIRROR);
    if (answer) {
      nic.inject(answer);
      return 'drop';
    }
    if (frame.ethernet.destination !== MIRROR) return 'pass';
    const echo = echoReply(frame);
    if (echo) return echo;
    if (!frame.ip) return 'drop';
    const ports = frame.udp ?? frame.tcp;
    const { bytes } = frame; // a copy, so it may be changed
    swap(bytes, 0, 6);
    swap(bytes, frame.ip.offset + (frame.ipv4 ? 12 : 8), frame.ipv4 ? 4 : 16);
    if (ports) swap(bytes, ports.offset, 2);
    return fixChecksums(bytes);
  },
};

/** Exchanges two adjacent parts of `length` bytes each. */
function swap(bytes: Uint8Array, at: number, length: number): void {
  const first = bytes.slice(at, at + length);
  bytes.copyWithin(at, at + length, at + 2 * length);
  bytes.set(first, at + length);
}

export default hook;
