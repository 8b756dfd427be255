// SPDX-License-Identifier: MIT
/**
 * firewall: the first rule that fits decides; a frame that fits no rule is dropped. ARP and IPv6 neighbour discovery
 * always pass: without them no host can reach another.
 *
 *   vnet-bpf attach vnet0 --addr 10.77.0.1/24 --hook firewall.ts
 */
import { askedAddress, type Frame, type Hook } from 'vnet-bpf/hooks';

interface Rule {
  verdict: 'pass' | 'drop';
  protocol?: 'icmp' | 'icmpv6' | 'udp' | 'tcp';
  /** Either port of a UDP or TCP packet. */
  port?: number;
  /** Either address. */
  address?: string;
}

const RULES: readonly Rule[] = [
  { verdict: 'drop', address: '10.77.0.66' },
  { verdict: 'pass', protocol: 'icmp' },
  { verdict: 'pass', protocol: 'icmpv6' },
  { verdict: 'pass', protocol: 'udp', port: 53 },
  { verdict: 'pass', protocol: 'tcp', port: 22 },
  { verdict: 'pass', protocol: 'tcp', port: 443 },
];

const fits = (rule: Rule, frame: Frame): boolean => {
  const { ip } = frame;
  const ports = frame.udp ?? frame.tcp;
  if (rule.protocol !== undefined && !frame[rule.protocol]) return false;
  if (rule.port !== undefined && ports?.sourcePort !== rule.port && ports?.destinationPort !== rule.port) return false;
  return rule.address === undefined || ip?.source === rule.address || ip?.destination === rule.address;
};

const isNeighbourTalk = (frame: Frame): boolean =>
  frame.arp !== null || frame.icmpv6?.type === 136 || askedAddress(frame) !== null;

const firewall: Hook = {
  // Only headers are read, and a superpacket has the same headers as any packet.
  superpackets: 'whole',
  frame: (frame) => (isNeighbourTalk(frame) ? 'pass' : (RULES.find((rule) => fits(rule, frame))?.verdict ?? 'drop')),
};

export default firewall;
