// SPDX-License-Identifier: MIT
/**
 * The debugger of a NIC: the loop stands still, frames wait in the ring and their senders in the
 * kernel, and each frame goes on when somebody has looked at it.
 */
import { VnetError } from '../errors';
import { fixChecksums, Frame, hexDump, summaryOf } from '../packet';
import { HELP, parseCommand, type StepCommand } from './commands';

export interface ShownFrame {
  bytes: Uint8Array;
  superpacket: boolean;
}

/** The loop, as the debugger has it; another process's behind a socket, or a made-up one in a test. */
export interface SteppedLoop {
  /** The next frame, null if none waits. */
  peek(): Promise<ShownFrame | null>;
  /** What becomes of it. */
  step(verdict: 'pass' | 'drop' | Uint8Array): Promise<void>;
  inject(frame: Uint8Array): Promise<void>;
}

/** Lines that somebody types; null at their end. */
export interface Lines {
  /** The next line. */
  next(): Promise<string | null>;
  /** True if next() would not have to wait. */
  readonly ready: boolean;
}

/** How often to look for a frame when none waits. */
const LOOK_MS = 50;

export class Stepper {
  private current: ShownFrame | null = null;
  private edited = false;
  private number = 0;
  /** Frames that get the same verdict without being asked about. */
  private repeat: { verdict: 'pass' | 'drop'; left: number } | null = null;

  constructor(
    private readonly loop: SteppedLoop,
    private readonly lines: Lines,
    private readonly print: (...lines: string[]) => void,
  ) {}

  /** Goes on until somebody says resume, or nothing more is typed. */
  async run(): Promise<void> {
    this.print('the loop stands still; each frame is shown here when it comes. help shows the commands');
    for (;;) {
      if (this.current === null) await this.look();
      if (this.current !== null && this.repeat !== null) {
        await this.decide(this.repeat.verdict);
        continue;
      }
      if (this.current === null && !this.lines.ready) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        continue;
      }
      const line = await this.lines.next();
      if (line === null || !(await this.obey(line))) return;
    }
  }

  private async look(): Promise<void> {
    this.current = await this.loop.peek();
    this.edited = false;
    if (this.current === null) return;
    this.number++;
    this.show();
  }

  private show(): void {
    const { bytes, superpacket } = this.current as ShownFrame;
    const what = superpacket ? ', a superpacket that is not cut up yet' : '';
    this.print(`frame ${this.number}${what}${this.edited ? ', edited' : ''}`, ...summaryOf(Frame.of(bytes)).map((line) => `  ${line}`));
  }

  /** Does what a line says; false when it says to leave. */
  private async obey(line: string): Promise<boolean> {
    try {
      const command = parseCommand(line);
      if (command.kind === 'resume') return false;
      await this.carryOut(command);
    } catch (error) {
      if (!(error instanceof VnetError) || error.code !== 'USAGE') throw error;
      this.print(error.hint === undefined ? error.message : `${error.message}; ${error.hint}`);
    }
    return true;
  }

  private async carryOut(command: StepCommand): Promise<void> {
    const { current } = this;
    if (command.kind === 'help' || command.kind === 'resume') return this.print(...HELP);
    if (command.kind === 'inject') {
      const frame = command.frame ?? current?.bytes;
      if (!frame) return this.print('no frame waits that could be copied');
      await this.loop.inject(frame);
      return this.print('injected');
    }
    if (!current) return this.print('no frame waits');
    if (command.kind === 'hex') return this.print(...hexDump(current.bytes));
    if (command.kind === 'edit') return this.edit(current, command.at, command.bytes);
    this.repeat = { verdict: command.kind, left: command.count };
    await this.decide(command.kind);
  }

  private edit(frame: ShownFrame, at: number, bytes: Uint8Array): void {
    if (frame.superpacket) return this.print('a superpacket passes or is dropped: ethtool -K turns tso and gso off');
    if (at + bytes.length > frame.bytes.length) return this.print(`the frame has ${frame.bytes.length} bytes`);
    frame.bytes.set(bytes, at);
    fixChecksums(frame.bytes);
    this.edited = true;
    this.show();
  }

  private async decide(verdict: 'pass' | 'drop'): Promise<void> {
    const frame = this.current as ShownFrame;
    this.current = null;
    await this.loop.step(verdict === 'pass' && this.edited ? frame.bytes : verdict);
    this.print(verdict === 'pass' ? 'passed' : 'dropped');
    if (this.repeat && --this.repeat.left === 0) this.repeat = null;
  }
}
