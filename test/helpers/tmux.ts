// SPDX-License-Identifier: MIT
/** A terminal for running a program and looking at its screen: tmux(1) on a socket of its own. */
import { randomBytes } from 'node:crypto';

import type { Test } from 'tap';

import { SLOW } from './cli';
import { eventually } from './controller';
import { ok, run } from './netns';

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** The default size of most terminals. */
export const SIZE = { width: 80, height: 24 };

export class Tmux {
  private readonly socket = `vt${randomBytes(4).toString('hex')}`;

  /** Runs a command in place of a shell; tmux ends with the test, and the command with it. */
  constructor(t: Test, command: readonly string[], { width, height }: typeof SIZE) {
    t.teardown(() => run('tmux', ['-L', this.socket, 'kill-server']));
    const script = `env -u NODE_OPTIONS -u NO_COLOR LC_ALL=C.UTF-8 ${command.map(quote).join(' ')}; echo "ended with $?"; stty -a; exec cat`;
    // Without the user's configuration; windows keep their size although no client is attached.
    this.tmux('-f', '/dev/null', 'new-session', '-d', '-x', String(width), '-y', String(height), script);
    this.tmux('set-option', '-g', 'window-size', 'manual');
  }

  private tmux(...args: string[]): string {
    return ok('tmux', ['-u', '-L', this.socket, ...args]);
  }

  /** The lines on the screen. */
  lines(): string[] {
    return this.tmux('capture-pane', '-p').replace(/\n$/, '').split('\n');
  }

  /** The same with escape sequences for colours and the like. */
  styled(): string {
    return this.tmux('capture-pane', '-p', '-e');
  }

  /** The same with the lines that have scrolled away. */
  history(): string {
    return this.tmux('capture-pane', '-p', '-e', '-S', '-');
  }

  /** Waits until the screen shows a match; returns the lines, or all of the screen for the message of the failure. */
  async shows(what: RegExp): Promise<string[]> {
    let lines: string[] = [];
    if (await eventually(() => what.test((lines = this.lines()).join('\n')), 15_000)) return lines;
    throw new Error(`the screen does not show ${what} within ${15 * SLOW} s:\n${lines.join('\n')}`);
  }

  press(...keys: string[]): void {
    this.tmux('send-keys', ...keys);
  }

  resize(width: number, height: number): void {
    this.tmux('resize-window', '-x', String(width), '-y', String(height));
  }

  /** The process in the pane: the shell, whose child the command is. */
  pid(): number {
    return Number(this.ask('#{pane_pid}'));
  }

  /** A property of the terminal from tmux, such as `#{alternate_on}`. */
  ask(format: string): string {
    return this.tmux('display-message', '-p', format).trim();
  }
}
