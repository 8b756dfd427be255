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
  const isRun = args.slice(0, at).find((arg) => !arg.startsWith('-')) === 'run';
  return at >= 0 && isRun ? { own: args.slice(0, at), command: args.slice(at + 1) } : { own: [...args], command: [] };
}
