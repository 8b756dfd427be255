// SPDX-License-Identifier: MIT
/** Signals: those that end a command, and those that `vnet-bpf run` passes on to the command that it has started. */
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';

import { hasTerminal, keysReachUsAnd } from '../native/terminal';

/**
 * Whether a SIGHUP is meant for this process: it says that a terminal is gone, which does not concern a process without
 * one on its standard streams, as after nohup(1). Whether the caller ignored SIGHUP cannot be found out, because
 * Node.js restores the default action of all signals when it starts.
 */
const mindsHangup = hasTerminal();

/**
 * Signals that ask this process to end. SIGQUIT is one of them: everything must be removed at the end, and a core dump
 * of Node.js is of no use.
 */
export const endSignals = (): readonly NodeJS.Signals[] => [
  'SIGINT',
  'SIGQUIT',
  'SIGTERM',
  ...(mindsHangup ? (['SIGHUP'] as const) : []),
];

/** Makes sure that a SIGHUP that is not meant for this process does not end it from now on. */
export function ignoreHangup(): void {
  if (!mindsHangup) process.on('SIGHUP', () => undefined);
}

/** Signals that users send to processes. SIGUSR1 is included also to keep Node from starting its debugger. */
const PASSED_ON = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

/** Signals that a terminal sends to every process of the process group in the foreground. */
const OF_THE_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];

/** The exit status of a process that a signal has ended, as in shells. */
export const statusOf = (signal: NodeJS.Signals): number => 128 + constants.signals[signal];

export class SignalRelay {
  private child: ChildProcess | undefined;
  /** The first signal that arrived while there was no command. */
  early: NodeJS.Signals | undefined;

  /** Keeps signals from ending this process: what it has made has to be removed first. */
  constructor() {
    for (const signal of PASSED_ON) process.on(signal, () => this.received(signal));
  }

  /** Passes signals on to the child from now on. */
  to(child: ChildProcess): void {
    this.child = child;
  }

  private received(signal: NodeJS.Signals): void {
    if (!this.child) this.early ??= signal;
    // The command must not get them twice: for many programs the second Ctrl-C means "at once". A command that has made
    // a process group of its own, such as timeout(1), does not get them from the terminal.
    else if (!OF_THE_TERMINAL.includes(signal) || !keysReachUsAnd(this.child.pid ?? 0)) this.child.kill(signal);
  }
}
