// SPDX-License-Identifier: MIT
/**
 * Standard output and standard error. Everything that this program prints goes through here, by one rule: a line that
 * cannot be printed decides nothing about the network.
 *
 * - A report is what a command was asked for. If it cannot be written, the command ends with one line on standard error
 *   and exit code 1. A report waits for a slow reader.
 * - News is what a command says about its work. If it cannot be written, one line on standard error says so; the work
 *   goes on, and its exit code stays. News waits for no reader: what a full pipe does not accept is kept, and written
 *   when the pipe has space again, or at the end of the command.
 *
 * This does not use process.stdout: its streams take 8 ms to load, make pipes non-blocking for every process that
 * shares them, and end the process by an event when nothing reads them.
 */
import * as fs from 'node:fs';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';

import { VnetError } from '../errors';
import { inForeground, isTerminal } from './terminal';

export type StandardStream = 1 | 2;

const NAMES = { 1: 'standard output', 2: 'standard error' } as const;

const REASONS: Readonly<Record<string, string>> = {
  EPIPE: 'nobody reads it any more',
  ECONNRESET: 'nobody reads it any more',
  ENOSPC: 'no space is left',
  EDQUOT: 'the quota is used up',
  EFBIG: 'the file may grow no larger',
  EIO: 'the terminal has gone, or the disk has failed',
  EBADF: 'it is not open for writing',
  EAGAIN: 'nobody reads what is there already',
};

/**
 * The most bytes of news that wait for a reader. Only a hook gone wild prints more than that while nothing reads it.
 */
const KEPT_MAX = 1 << 20;
/** Time after which a stream that was full is tried again, in milliseconds. */
const RETRY_MS = 20;
const SIGNALS = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP'] as const;

const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
const never = new Int32Array(new SharedArrayBuffer(4));
const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'EIO';

class Output {
  private kept: Buffer[] = [];
  private keptBytes = 0;
  /** The errno because of which nothing can be written any more; null while it can. */
  private lost: string | null = null;
  private writeSome: ((bytes: Buffer) => number) | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly fd: StandardStream) {}

  /** Writes all of the text, waiting for the reader. Throws a VnetError if it cannot. */
  report(text: string): void {
    const bytes = [...this.kept.splice(0), Buffer.from(text)];
    this.keptBytes = 0;
    try {
      for (const each of bytes) if (this.lost === null) writeWhole(this.fd, each);
    } catch (error) {
      this.lost = codeOf(error);
    }
    if (this.lost !== null) throw cannotBeWritten(this.fd, this.lost);
  }

  /** Writes what can be written at once and keeps the rest. Never throws. */
  news(text: string | Buffer): void {
    if (this.lost !== null) return;
    const bytes = Buffer.from(text as string);
    this.kept.push(bytes);
    this.keptBytes += bytes.length;
    this.tryKept();
    if (this.keptBytes > KEPT_MAX) this.lose('EAGAIN');
  }

  /** Whether news still waits for a reader. */
  get waits(): boolean {
    return this.kept.length > 0;
  }

  tryKept(): void {
    try {
      this.writeSome ??= withoutWaiting(this.fd);
      for (let first = this.kept[0]; first !== undefined; first = this.kept[0]) {
        const written = this.writeSome(first);
        this.keptBytes -= written;
        if (written === first.length) this.kept.shift();
        else this.kept[0] = first.subarray(written);
      }
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN') return this.lose(codeOf(error));
      this.timer ??= setTimeout(() => {
        this.timer = undefined;
        this.tryKept();
      }, RETRY_MS).unref();
    }
  }

  private lose(code: string): void {
    this.lost = code;
    this.kept = [];
    this.keptBytes = 0;
    if (this.fd === 1) streams[2].news(`vnet-bpf: ${cannotBeWritten(1, code).message}\n`);
  }
}

/** The error of a report; `code` names the errno. */
export function cannotBeWritten(stream: StandardStream, code: string): VnetError {
  // no hint: the reason says it all, in one line
  return new VnetError('SYSCALL', NAMES[stream], `cannot be written: ${whyNotWritten(code)}`);
}

/** Why something could not be written, by the name of an errno. */
export const whyNotWritten = (code: string): string => `${REASONS[code] ?? 'the kernel refuses it'} (${code})`;

function writeWhole(fd: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length;) {
    try {
      written += fs.writeSync(fd, bytes, written);
    } catch (error) {
      // Another process that shares the pipe may have made it non-blocking.
      if (codeOf(error) !== 'EAGAIN') throw error;
      Atomics.wait(never, 0, 0, 1);
    }
  }
}

/**
 * A function that writes to a descriptor without waiting; it throws EAGAIN instead. A pipe or a terminal is opened once
 * more for that: O_NONBLOCK on the original would affect every process that shares it. Anything else accepts all bytes
 * at once.
 */
function withoutWaiting(fd: StandardStream): (bytes: Buffer) => number {
  const stat = fs.fstatSync(fd);
  if (stat.isSocket()) return (bytes) => sent(fd, bytes);
  if (stat.isFIFO()) return writer(reopened(fd));
  if (!isTerminal(stat)) return writer(fd);
  const write = writer(reopened(fd));
  return (bytes) => {
    // A terminal may stop a process that writes to it from the background (stty tostop), with all threads, those that
    // loop, too.
    if (!inForeground()) (require('./libc') as typeof import('./libc')).ignoreSignal(constants.signals.SIGTTOU);
    return write(bytes);
  };
}

const writer =
  (fd: number) =>
  (bytes: Buffer): number =>
    fs.writeSync(fd, bytes);

/**
 * A non-blocking descriptor of the same pipe or terminal: O_NONBLOCK on the first one would affect every process that
 * shares it.
 */
export function reopened(fd: number, access: number = O_WRONLY): number {
  try {
    return fs.openSync(`/proc/self/fd/${fd}`, access | O_NONBLOCK | O_NOCTTY);
  } catch {
    return fd; // the error occurs again when it is written to
  }
}

function sent(fd: StandardStream, bytes: Buffer): number {
  // Loaded only here: a command without a socket may not need it.
  const { errnoName, errnoOf, sendBytes } = require('./libc') as typeof import('./libc');
  const count = sendBytes(fd, bytes);
  if (count >= 0) return count;
  // EAGAIN has another name, too.
  throw Object.assign(new Error('send'), { code: -count === errnoOf['EAGAIN'] ? 'EAGAIN' : errnoName(-count) });
}

const streams = { 1: new Output(1), 2: new Output(2) } as const;

/** Prints what the command was asked for. Throws a VnetError if it cannot be written. */
export const report = (stream: StandardStream, text: string): void => streams[stream].report(text);

/**
 * Throws a VnetError if nothing reads standard output any more: for a report that goes on and has nothing to say at the
 * moment.
 */
export function requireReader(): void {
  if ((require('./libc') as typeof import('./libc')).hasLostItsReader(1))
    throw cannotBeWritten(1, isTerminal(fs.fstatSync(1)) ? 'EIO' : 'EPIPE');
}

/** Prints what the command says about its work. Never throws, and waits for no reader. */
export const news = (stream: StandardStream, text: string | Buffer): void => streams[stream].news(text);

/** Whether news of a stream still waits for its reader, such as a terminal that Ctrl-S has stopped. */
export const newsWaits = (stream: StandardStream): boolean => streams[stream].waits;

/**
 * Passes on what a thread prints, as news. For a Worker with `stdout` and `stderr` set: otherwise Node.js opens
 * process.stdout and process.stderr for it.
 */
export function passOn({ stdout, stderr }: { stdout: Readable; stderr: Readable }): void {
  stdout.on('data', (bytes: Buffer) => news(1, bytes));
  stderr.on('data', (bytes: Buffer) => news(2, bytes));
}

/**
 * Resolves when all news has been read, or cannot be. For when the work is done: from then on signals end the process
 * again.
 */
export async function allNewsIsOut(): Promise<void> {
  const waiting = (): Output[] => Object.values(streams).filter(({ waits }) => waits);
  if (waiting().length === 0) return;
  for (const signal of SIGNALS) process.removeAllListeners(signal);
  for (; waiting().length > 0; await new Promise((resolve) => setTimeout(resolve, RETRY_MS)))
    for (const each of waiting()) each.tryKept();
}
