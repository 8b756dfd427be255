// SPDX-License-Identifier: MIT
/** `vnet-bpf run [options] -- COMMAND ARGS...`: what is behind `--` belongs to somebody else. */

export interface SplitArguments {
  /** For vnet-bpf to parse. */
  own: string[];
  /** The command to run and its arguments, as they were given; empty where there is none. */
  command: string[];
}

export function splitCommand(args: readonly string[]): SplitArguments {
  const at = args.indexOf('--');
  const name = args.slice(0, at).find((arg) => !arg.startsWith('-'));
  const isRun = name === 'run';
  // What follows are words of impair as much as without it.
  if (at >= 0 && name === 'impair') return { own: args.filter((_, i) => i !== at), command: [] };
  return at >= 0 && isRun ? { own: args.slice(0, at), command: args.slice(at + 1) } : { own: [...args], command: [] };
}
