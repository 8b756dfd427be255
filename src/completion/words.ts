// SPDX-License-Identifier: MIT
/** What can stand in a place of a command line. */
import type { Command, Declared } from '../cli/declarations';

export type Words =
  | { kind: 'choices'; choices: readonly string[] }
  | { kind: 'interfaces' | 'namespaces' | 'files' | 'anything' };

/** What follows an option; null for one that takes no value. */
export function valueOf(option: string, declared: Declared): Words | null {
  if (declared.type === 'boolean') return null;
  if (declared.choices) return { kind: 'choices', choices: declared.choices };
  if (option === 'netns') return { kind: 'namespaces' };
  return { kind: ['hook', 'init', 'write'].includes(option) ? 'files' : 'anything' };
}

/** The operands of a command, in their order; the last one may be repeated. `commands` are all that there are. */
export function operandsOf({ positionals }: Command, commands: readonly Command[]): Words[] {
  return [...positionals].map(([name, { choices }]): Words => {
    if (choices) return { kind: 'choices', choices };
    if (name === 'command') return { kind: 'choices', choices: commands.map((command) => command.name) };
    return { kind: name === 'iface' ? 'interfaces' : name === 'file' ? 'files' : 'anything' };
  });
}

/**
 * Shell commands that print names, one a line. The records are root's: others are told nothing, quietly.
 * zsh complains of a pattern that matches nothing unless find(1) looks for it.
 */
export const INTERFACES = `find /run/vnet-bpf -name state.json -exec sed -n 's/^  "iface": "\\(.*\\)",$/\\1/p' {} + 2>/dev/null`;
export const NAMESPACES = 'find /run/netns -mindepth 1 -maxdepth 1 2>/dev/null | sed "s,.*/,,"';

export const optionNames = (options: ReadonlyMap<string, Declared>): string[] => [...options.keys()].map((name) => `--${name}`);

export const HEADER = `# SPDX-License-Identifier: MIT
# Made by vnet-bpf completion; vnet-bpf completion --help says how it is used.`;
