// SPDX-License-Identifier: MIT
/** Types commands into a shell as a user would, one letter after the other, and notes when what appears. */
import type { Test } from 'tap';

import { SLOW } from '../helpers/cli';
import { Tmux } from '../helpers/tmux';
import type { Moment, Session } from './film';

/** Between two letters, about as fast as people type. */
const LETTER_MS = 25;
/** For reading what a command has printed. */
const READING_MS = 1300;
const COMMAND_MS = 30_000;

export const PROMPT = '# ';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export interface Place {
  /** What runs the shell, such as nsenter(1) with its arguments. */
  command: readonly string[];
  directory: string;
  /** A directory of commands, before those of the system. */
  bin: string;
}

/** A prompt without names of the machine; what is typed is bold, up to what the command prints (PS0). */
const shell = ({ command, directory, bin }: Place): string[] => [
  ...command,
  'env',
  '-C',
  directory,
  `PATH=${bin}:${process.env['PATH'] ?? ''}`,
  `PS1=\\[\\e[32m\\]${PROMPT}\\[\\e[0;1m\\]`,
  'PS0=\\e[0m',
  'HISTFILE=',
  'COLORTERM=truecolor',
  'bash',
  '--norc',
  '--noprofile',
];

export class Shell {
  private readonly terminal: Tmux;
  private readonly moments: Moment[] = [];

  constructor(
    t: Test,
    private readonly size: { width: number; height: number },
    place: Place,
  ) {
    this.terminal = new Tmux(t, shell(place), size);
  }

  /** Waits for the prompt. */
  async ready(): Promise<void> {
    for (const end = performance.now() + COMMAND_MS * SLOW; !this.isReady();) {
      if (performance.now() > end)
        throw new Error(`no prompt within ${(COMMAND_MS * SLOW) / 1000} s:\n${this.terminal.lines().join('\n')}`);
      this.note();
    }
    this.note();
  }

  private isReady(): boolean {
    return (
      this.terminal
        .lines()
        .filter((line) => line !== '')
        .at(-1) === PROMPT.trimEnd()
    );
  }

  /** Notes where the cursor is. */
  private note(): void {
    const [history = 0, row = 0, column = 0] = this.terminal
      .ask('#{history_size} #{cursor_y} #{cursor_x}')
      .split(' ')
      .map(Number);
    this.moments.push({ ms: Math.round(performance.now()), line: history + row, column });
  }

  /** Types a command, and waits until it has ended. */
  async type(command: string): Promise<void> {
    for (const letter of command) {
      // tmux takes a semicolon for the end of its own command.
      this.terminal.press('-l', letter === ';' ? '\\;' : letter);
      await sleep(LETTER_MS);
      this.note();
    }
    await sleep(LETTER_MS * 10);
    this.terminal.press('Enter');
    await sleep(LETTER_MS * 4);
    await this.ready();
    await sleep(READING_MS);
  }

  /** What was seen since the beginning; the prompt that waits for a next command is left out. */
  session(title: string): Session {
    const lines = this.terminal.history().replace(/\n+$/, '').split('\n');
    const { width, height } = this.size;
    return { title, width, height, text: lines.slice(0, -1).join('\n'), moments: this.moments };
  }
}
