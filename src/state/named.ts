// SPDX-License-Identifier: MIT
/** Attached interfaces as messages name them, and the commands that messages advise. */

/** `vnet0`, or `vnet0 in namespace lab`. */
export const named = (iface: string, netns: string | null): string => (netns === null ? iface : `${iface} in namespace ${netns}`);

/** A text in single quotes of a shell. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** A word as a shell takes it. */
export const shellWord = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : quoted(word));

/** An interface as commands take it: `vnet0 --netns lab`. */
export const operandFor = (iface: string, netns: string | null): string => `${shellWord(iface)}${netns === null ? '' : ` --netns ${shellWord(netns)}`}`;

/** A command about an interface, to be typed as it stands: `vnet-bpf detach vnet0 --netns lab`. */
export const commandFor = (verb: string, iface: string, netns: string | null, ...more: readonly string[]): string => ['vnet-bpf', verb, operandFor(iface, netns), ...more].join(' ');

/** The same about an attachment, whose namespace its record has. */
export const commandAbout = (verb: string, { iface, netns }: { iface: string; netns: { name: string | null } }, ...more: readonly string[]): string => commandFor(verb, iface, netns.name, ...more);
