// SPDX-License-Identifier: MIT
/** The kernel's protocol counters of a namespace. */
import { okIn } from './netns';

/** A counter of /proc/net/snmp: for each protocol a line of names, then a line of numbers. */
export function snmpCounter(netns: string, protocol: 'Icmp' | 'Tcp', name: string): number {
  const [names = [], values = []] = okIn(netns, 'cat', ['/proc/net/snmp'])
    .split('\n')
    .filter((line) => line.startsWith(`${protocol}:`))
    .map((line) => line.split(' '));
  return Number(values[names.indexOf(name)]);
}
