// SPDX-License-Identifier: MIT
/** Signals: those that end a command, and those that `vnet-bpf run` passes on to the command that it has started. */
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';

import { hasTerminal, inForeground } from '../native/terminal';

/**
 * Whether a SIGHUP is for this process: it says that a terminal has gone, and means nothing to a process that has none
 * on its standard streams, as nohup(1) leaves it. Whether the caller had it ignored cannot be asked: Node.js makes all
 * signals count again when it starts.
 */
const mindsHangup = hasTerminal();

/** Signals that ask this process to end. SIGQUIT is one of them: at the end nothing is to be left, and nobody wants a core of Node.js. */
export const endSignals = (): readonly NodeJS.Signals[] => ['SIGINT', 'SIGQUIT', 'SIGTERM', ...(mindsHangup ? (['SIGHUP'] as const) : [])];

/** From now on a SIGHUP that is not for this process does not end it. */
export function ignoreHangup(): void {
  if (!mindsHangup) process.on('SIGHUP', () => undefined);
}

/** What users send to processes. SIGUSR1 also so that Node does not start its debugger. */
const PASSED_ON = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

/** A terminal sends them to every process in the foreground. */
const OF_THE_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];

/** The status of a process that a signal has ended, as shells have it. */
export const statusOf = (signal: NodeJS.Signals): number => 128 + constants.signals[signal];

export class SignalRelay {
  private child: ChildProcess | undefined;
  /** The first signal that came while there was no command. */
  early: NodeJS.Signals | undefined;

  /** From now on no signal ends this process: what it has made has to be removed first. */
  constructor() {
    for (const signal of PASSED_ON) process.on(signal, () => this.received(signal));
  }

  /** Signals are for this process from now on. */
  to(child: ChildProcess): void {
    this.child = child;
  }

  private received(signal: NodeJS.Signals): void {
    if (!this.child) this.early ??= signal;
    // It must not get them twice: for many programs the second Ctrl-C means "at once".
    else if (!(OF_THE_TERMINAL.includes(signal) && inForeground())) this.child.kill(signal);
  }
}
