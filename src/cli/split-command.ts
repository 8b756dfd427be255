// SPDX-License-Identifier: MIT
/** `vnet-bpf run [options] -- COMMAND ARGS...`: what is behind `--` belongs to somebody else. */

export interface SplitArguments {
  /** For vnet-bpf to parse. */
  own: string[];
  /** The command to run and its arguments, as they were given; empty where there is none. */
  command: string[];
}

/**
 * yargs takes `-` for an option without a name, and does not count operands behind `--`. Such an operand is given to it in
 * another form: `-` with a zero byte in front, which no argument of the caller's has, and a file as one of this directory.
 */
function operandsInDisguise(args: readonly string[]): string[] {
  if (!['replay', 'hook'].includes(args.find((arg) => !arg.startsWith('-')) ?? '')) return [...args];
  const end = args.indexOf('--');
  const before = end < 0 ? args : args.slice(0, end);
  const behind = end < 0 ? [] : args.slice(end + 1).map((arg) => (arg.startsWith('-') && arg !== '-' ? `./${arg}` : arg));
  return [...before, ...behind].map((arg) => (arg === '-' ? `\0${arg}` : arg));
}

/** The operand as the caller gave it. */
export const undisguised = (operand: string): string => operand.replace(/^\0/, '');

export function splitCommand(args: readonly string[]): SplitArguments {
  const at = args.indexOf('--');
  const isRun = args.slice(0, at).find((arg) => !arg.startsWith('-')) === 'run';
  return at >= 0 && isRun ? { own: args.slice(0, at), command: args.slice(at + 1) } : { own: operandsInDisguise(args), command: [] };
}
