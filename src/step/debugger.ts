// SPDX-License-Identifier: MIT
/**
 * `vnet-bpf step`, a debugger for a NIC: it pauses the loop, so that frames wait in the ring and their senders in the
 * kernel, and lets frames continue when the user has looked at them. The loop resumes however the debugger ends.
 */
import type { Readable } from 'node:stream';

import { ControlClient } from '../control/socket';
import { didYouMean, usageError, VnetError } from '../errors';
import { requireAttachment } from '../lifecycle/find-attachment';
import { standardInput } from '../native/standard-input';
import { checkInterfaceName, checkNetnsName } from '../options/values';
import { fixChecksums, Frame, hexDump, summaryOf } from '../packet';
import { editField } from '../packet/field-edits';
import { type PacketFilter, parseFilter } from '../packet/filter';
import { requirePrivileges } from '../requirements';
import { controlSocket } from '../state/store';
import { tell } from '../terminal/output';

// The debugger's commands.

export type StepCommand =
  | { kind: 'pass' | 'drop'; count: number }
  | { kind: 'edit'; at: number; bytes: Uint8Array }
  | { kind: 'set'; field: string; value: string }
  | { kind: 'inject'; frame: Uint8Array | null }
  | { kind: 'hex' }
  | { kind: 'resume' }
  | { kind: 'help' };

export const HELP = [
  'pass [N]           pass this frame, or N frames; an empty line passes one',
  'drop [N]           drop this frame, or N frames',
  'edit FIELD VALUE   change a field of it, such as ttl; its checksums are fixed',
  'edit OFFSET HEX    overwrite bytes of it; its checksums are fixed',
  'inject [HEX]       make the interface receive a frame before this one; without HEX, a copy of this one',
  'hex                show its bytes',
  'resume             resume the loop, and quit',
] as const;

/** Parses a line. Throws a USAGE error if it is not a command. */
export function parseCommand(line: string): StepCommand {
  const [word = '', ...rest] = line.trim().split(/\s+/);
  const kind =
    Object.entries(WORDS).find(([name]) => word === name || word === name[0])?.[1] ??
    (word === '' ? 'pass' : undefined);
  switch (kind) {
    case 'pass':
    case 'drop':
      return { kind, count: rest[0] === undefined ? 1 : whole(rest[0], 1) };
    case 'edit':
      if (/^[a-z]/i.test(rest[0] ?? ''))
        return { kind: 'set', field: rest[0] as string, value: rest.slice(1).join(' ') };
      return { kind, at: whole(rest[0] ?? '', 0), bytes: hexBytes(rest.slice(1).join('')) };
    case 'inject':
      return { kind, frame: rest.length === 0 ? null : hexBytes(rest.join('')) };
    case 'hex':
    case 'resume':
    case 'help':
      return { kind };
    case undefined:
      throw usageError(
        `"${word}"`,
        'is not a command',
        didYouMean(word, Object.keys(WORDS), 'help lists the commands'),
      );
  }
}

/** Each word may be shortened to its first letter; `h` stands for `hex`, not `help`. */
const WORDS = {
  pass: 'pass',
  drop: 'drop',
  edit: 'edit',
  inject: 'inject',
  hex: 'hex',
  resume: 'resume',
  quit: 'resume',
  help: 'help',
  '?': 'help',
} as const;

function whole(text: string, min: number): number {
  if (/^(0x[0-9a-f]+|\d+)$/i.test(text) && Number(text) >= min) return Number(text);
  throw usageError(`"${text}"`, `is not a whole number of at least ${min}`, 'in decimal, or in hexadecimal with 0x');
}

/** Bytes in hexadecimal, two digits each, with or without colons. Throws USAGE. */
export function hexBytes(text: string): Uint8Array {
  const digits = text.replaceAll(':', '');
  if (digits === '' || digits.length % 2 !== 0 || !/^[0-9a-f]+$/i.test(digits))
    throw usageError(`"${text}"`, 'is not bytes in hexadecimal', 'two digits per byte: 0800 or 08:00');
  return Buffer.from(digits, 'hex');
}

export interface ShownFrame {
  bytes: Uint8Array;
  superpacket: boolean;
}

/** The loop being debugged: that of another process, through a socket, or a test's own. */
export interface SteppedLoop {
  /** The next frame; null if none waits. */
  peek(): Promise<ShownFrame | null>;
  /** Decides on that frame. */
  step(verdict: 'pass' | 'drop' | Uint8Array): Promise<void>;
  inject(frame: Uint8Array): Promise<void>;
}

/** Lines that the user types. */
export interface Lines {
  /** The next line; null at the end. */
  next(): Promise<string | null>;
  /** Whether next() would return without waiting. */
  readonly ready: boolean;
}

/** Milliseconds between looks for a frame while none waits. */
const LOOK_MS = 50;
/** Number of frames that may pass unseen before typed lines are handled. */
const UNSEEN_IN_ROW = 64;

export class Stepper {
  private current: ShownFrame | null = null;
  private edited = false;
  private number = 0;
  /** Frames that have passed because the filter does not match them. */
  private unseen = 0;
  /** A verdict for the next frames, which are not shown first. */
  private repeat: { verdict: 'pass' | 'drop'; left: number } | null = null;

  constructor(
    private readonly loop: SteppedLoop,
    private readonly lines: Lines,
    private readonly print: (...lines: string[]) => void,
    /** Frames that it does not match pass without being shown. */
    private readonly filter: PacketFilter | null = null,
  ) {}

  /** Runs until the user resumes the loop, or the input ends. */
  async run(): Promise<void> {
    await this.loopUntilEnd();
    if (this.unseen > 0) this.print(`${this.unseen} frames passed that the filter does not match`);
  }

  private async loopUntilEnd(): Promise<void> {
    this.print('the loop is paused; each frame is shown here when it arrives. help lists the commands');
    let inRow = 0;
    for (;;) {
      if (this.current === null && (await this.look()) && this.current === null && ++inRow < UNSEEN_IN_ROW) continue;
      inRow = 0;
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

  /** Shows the next frame; false if none waits. */
  private async look(): Promise<boolean> {
    const next = await this.loop.peek();
    this.edited = false;
    if (next === null) return false;
    if (this.filter?.matches(next.bytes, 0, next.bytes.length, next.bytes.length) === false) {
      await this.loop.step('pass');
      this.unseen++;
      return true;
    }
    this.current = next;
    this.number++;
    this.show();
    return true;
  }

  private show(): void {
    const { bytes, superpacket } = this.current as ShownFrame;
    const what = superpacket ? ', a superpacket that is not segmented yet' : '';
    this.print(
      `frame ${this.number}${what}${this.edited ? ', edited' : ''}`,
      ...summaryOf(Frame.of(bytes)).map((line) => `  ${line}`),
    );
  }

  /** Executes a line; returns false if it ends the debugger. */
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
      if (!frame) return this.print('no frame is waiting that could be copied');
      await this.loop.inject(frame);
      return this.print('injected');
    }
    if (!current) return this.print('no frame is waiting');
    if (command.kind === 'hex') return this.print(...hexDump(current.bytes));
    if (command.kind === 'edit') return this.write(current, command.at, command.bytes);
    if (command.kind === 'set') return this.edit(current, (bytes) => editField(bytes, command.field, command.value));
    this.repeat = { verdict: command.kind, left: command.count };
    await this.decide(command.kind);
  }

  private write(frame: ShownFrame, at: number, bytes: Uint8Array): void {
    if (at + bytes.length > frame.bytes.length) return this.print(`the frame has ${frame.bytes.length} bytes`);
    this.edit(frame, (all) => all.set(bytes, at));
  }

  private edit(frame: ShownFrame, change: (bytes: Uint8Array) => void): void {
    if (frame.superpacket) return this.print('a superpacket passes or is dropped: ethtool -K turns tso and gso off');
    change(frame.bytes);
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

// The loop of another process, through its control socket.

/** The loop at the other end; `client` stays the caller's. */
export function remoteLoop(client: ControlClient): SteppedLoop {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return {
    peek: async () => {
      const frame = (await client.ask({ order: 'peek' })) as { bytes: string; superpacket: boolean } | null;
      return frame && { ...frame, bytes: Buffer.from(frame.bytes, 'base64') };
    },
    step: async (verdict) => {
      const order = typeof verdict === 'string' ? { verdict } : { verdict: 'replace', frame: base64(verdict) };
      await client.ask({ order: 'step', ...order });
    },
    inject: async (frame) => {
      await client.ask({ order: 'inject', frame: base64(frame) });
    },
  };
}

// Lines of a stream, typed or piped, taken one at a time.

/** The longest line in characters; `inject` with the bytes of the largest superpacket is shorter. */
const LINE_MAX = 1 << 20;
/** Lines that wait before no more is read. */
const WAITING_MAX = 1000;

export class TypedLines implements Lines {
  private readonly waiting: string[] = [];
  /** The beginning of a line whose end has not been read. */
  private rest = '';
  private ended = false;
  private failure: VnetError | null = null;
  private wake: () => void = () => undefined;

  constructor(private readonly input: Readable) {
    input
      .setEncoding('utf8')
      .on('data', (text: string) => this.take(text))
      .on('error', (error: NodeJS.ErrnoException) => this.fail(error))
      .on('end', () => this.end());
  }

  private take(text: string): void {
    if (this.ended) return;
    const lines = (this.rest + text).split(/\r?\n/);
    this.rest = lines.pop() as string;
    for (const line of lines) this.waiting.push(line);
    if (this.rest.length > LINE_MAX) {
      this.rest = '';
      this.failure = usageError(
        'standard input',
        'has a line that is too long for a command',
        'help lists the commands',
      );
      this.end();
    }
    if (this.ended || this.waiting.length > WAITING_MAX) this.input.pause();
    this.wake();
  }

  private fail({ code = 'EIO' }: NodeJS.ErrnoException): void {
    // A terminal that is gone sends no more lines.
    if (code !== 'EIO')
      this.failure = new VnetError('SYSCALL', 'standard input', `cannot be read (${code})`, {
        hint: 'vnet-bpf step reads its commands there',
      });
    this.end();
  }

  private end(): void {
    if (this.rest !== '') this.waiting.push(this.rest);
    this.rest = '';
    this.ended = true;
    this.wake();
  }

  get ready(): boolean {
    return this.waiting.length > 0 || this.ended;
  }

  async next(): Promise<string | null> {
    while (!this.ready) await new Promise<void>((resolve) => (this.wake = resolve));
    const line = this.waiting.shift() ?? null;
    if (line === null && this.failure) throw this.failure;
    if (this.waiting.length === 0 && !this.ended) this.input.resume();
    return line;
  }
}

// The command.

export async function stepCommand(args: {
  iface: string;
  netns: string | undefined;
  filter: string | undefined;
}): Promise<void> {
  checkInterfaceName(args.iface);
  const netns = args.netns === undefined ? null : checkNetnsName(args.netns);
  const filter = args.filter === undefined ? null : parseFilter(args.filter);
  requirePrivileges();
  const attachment = requireAttachment(args.iface, netns);
  using client = await ControlClient.connect(controlSocket(attachment.id));
  const input = standardInput();
  try {
    await client.ask({ order: 'pause', by: 'step' });
    await new Stepper(remoteLoop(client), new TypedLines(input), tell, filter).run();
    await client.ask({ order: 'resume' });
    tell(`${attachment.iface} loops again`);
  } finally {
    input.destroy(); // it would keep the process alive
  }
}
