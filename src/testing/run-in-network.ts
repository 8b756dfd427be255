// SPDX-License-Identifier: MIT
/** Runs one command in a throwaway network to its end, and ends what it leaves behind there. */
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import * as fs from 'node:fs';

import { VnetError } from '../errors';
import { detachAttachment } from '../lifecycle/detach';
import { endProcesses, Netns } from '../link/netns';
import { isIn } from '../link/netns-record';
import { callersDirectory, withCallersUmask } from '../native/inherited';
import { watchEndOfChild } from '../native/libc';
import { allAttachments } from '../state/store';
import type { Throwaway } from './throwaway';

/** Exit statuses of shells for a command that does not exist, and for one that cannot be executed. */
const STATUS = { notFound: 127, notExecutable: 126 } as const;

export class CannotExecute extends VnetError {
  /** The exit status that a shell would report. */
  readonly status: number;

  constructor(program: string, error: NodeJS.ErrnoException) {
    // The file exists, but its interpreter does not.
    const withoutInterpreter = error.code === 'ENOENT' && program.includes('/') && fs.existsSync(program);
    const missing = error.code === 'ENOENT' && !withoutInterpreter;
    const why = withoutInterpreter
      ? 'its interpreter, which the first line names, is not there'
      : (error.code ?? error.message);
    super(
      'COMMAND_FAILED',
      `command ${program}`,
      missing ? 'there is none of that name' : `cannot be executed: ${why}`,
      {
        hint: missing
          ? 'give its path; without one it is looked up in PATH, which sudo may have changed'
          : 'chmod +x makes a program of a file; one without a first line such as #!/bin/sh needs sh before it',
        cause: error,
      },
    );
    this.status = missing ? STATUS.notFound : STATUS.notExecutable;
  }
}

/** The addresses of the interface in such a network: those given, or one of IPv4, and one of IPv6 if there is IPv6. */
export const addressesOf = (given: string[] | undefined): string[] =>
  given ?? ['10.77.0.1/24', ...(fs.existsSync('/proc/sys/net/ipv6') ? ['fd77::1/64'] : [])];

export interface CommandOptions {
  stdio: StdioOptions;
  /** Gives the command a session of its own: keys of a terminal do not reach it. */
  ownSession?: boolean;
  /** Called when the command has been started, or could not be. */
  started?: (child: ChildProcess) => void;
}

/** Starts the command, found in the caller's PATH and environment, with the umask that this process was given. */
function startCommand(
  program: string,
  args: readonly string[],
  { stdio, ownSession = false }: CommandOptions,
): ChildProcess {
  try {
    return withCallersUmask(() => spawn(program, args, { stdio, cwd: callersDirectory(), detached: ownSession }));
  } catch (error) {
    throw new CannotExecute(program, error as NodeJS.ErrnoException); // Node reports some errors without an event
  }
}

/** Runs the command to its end; returns the status that a shell would report. Throws CannotExecute. */
export async function runInNetwork(
  { netns: name, nic }: Throwaway,
  [program = '', ...args]: readonly string[],
  options: CommandOptions,
): Promise<number> {
  if (program === '') throw new CannotExecute('""', Object.assign(new Error(), { code: 'ENOENT' }));
  using netns = Netns.named(name);
  // `ip netns exec` is not used, because it would hide /sys/fs/bpf from the command.
  const child = netns.run(() => startCommand(program, args, options));
  options.started?.(child);
  let endedBy = 0;
  const watch = child.pid === undefined ? null : watchEndOfChild(child.pid, (signal) => (endedBy = signal));
  const status = await new Promise<number>((resolve, reject) => {
    child.once('error', (error) => reject(new CannotExecute(program, error)));
    child.once('exit', (code) => resolve(endedBy > 0 ? 128 + endedBy : (code ?? 1)));
  }).finally(() => watch?.close());
  // Processes that the command left running would keep the namespace alive, and would lose its network.
  await endProcesses(netns);
  // What the command has attached: its controllers are gone, perhaps killed.
  for (const each of allAttachments().filter(isIn(netns))) if (each.id !== nic.id) await detachAttachment(each);
  return status;
}
