// SPDX-License-Identifier: MIT
/** Attached interfaces as messages name them, and the commands that messages advise. */

/** `vnet0`, or `vnet0 in namespace lab`. */
export const named = (iface: string, netns: string | null): string => (netns === null ? iface : `${iface} in namespace ${netns}`);

/** A word as a shell takes it. */
export const shellWord = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** A command about an interface, to be typed as it stands: `vnet-bpf detach vnet0 --netns lab`. */
export function commandFor(verb: string, iface: string, netns: string | null, ...more: readonly string[]): string {
  return ['vnet-bpf', verb, shellWord(iface), ...(netns === null ? [] : ['--netns', shellWord(netns)]), ...more].join(' ');
}
