// SPDX-License-Identifier: MIT
/**
 * Where a recording goes: a file, a pipe whose reader may be slow or gone, or numbered files of which the latest are
 * kept.
 */
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';

import { VnetError } from '../errors';
import { cannotBeWritten, reopened } from '../native/standard-streams';
import { NotTrusted, openCallersFifo, openOutput, removeOutput } from '../native/trusted';
import { DEFAULT_WRITER, type WrittenFormat, writerFor } from './formats';

/** How many of the first bytes of a write make a complete file. */
type Complete = (written: Uint8Array) => number;

export interface Sink {
  /**
   * Whether a reader may be waiting: then data is written now and then, which also shows whether the reader is still
   * there.
   */
  readonly live: boolean;
  /** Resolves when the bytes are on their way; rejects with ReaderGone, OutputFull or a VnetError. */
  write(bytes: Uint8Array, complete?: Complete): Promise<void>;
  /** Writes the final bytes after an OutputFull, as far as there is space. */
  writeLast(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Says that nothing reads the pipe any more. */
export class ReaderGone extends Error {}

/** Says that a file is full; it was cut where what is before makes a complete file. */
export class OutputFull extends Error {
  constructor(
    readonly file: string,
    /** The name of an errno. */
    readonly errno: string,
    /** Bytes of the last write that are in the file. */
    readonly kept: number,
  ) {
    super(`${file} is full`);
  }
}

/** The name of standard output. */
export const STDOUT = '-';

/** Opens `file`, a path or STDOUT. A pipe must have a reader: opening it waits for one. */
export function openSink(file: string): Sink {
  return sinkOf(file === STDOUT ? 1 : opened(openOutput, file), file);
}

/** Opens a pipe that the caller of the command has made. */
export const openPipeSink = (file: string): Sink => sinkOf(opened(openCallersFifo, file), file);

function sinkOf(fd: number, file: string): Sink {
  const kind = fs.fstatSync(fd);
  return kind.isFIFO() || kind.isSocket() ? new PipeSink(fd) : new FileSink(fd, file);
}

function opened(open: (file: string) => number, file: string): number {
  try {
    return open(file);
  } catch (cause) {
    throw failed(file, cause);
  }
}

function failed(file: string, cause: unknown): VnetError {
  if (cause instanceof VnetError) return cause;
  if (file === STDOUT) return cannotBeWritten(1, (cause as NodeJS.ErrnoException).code ?? 'EIO');
  return new VnetError('SYSCALL', `recording ${file}`, cause instanceof Error ? cause.message : String(cause), {
    hint:
      cause instanceof NotTrusted
        ? 'name a file of your own, in a directory of your own'
        : 'is the directory there, and the disk not full?',
    cause,
  });
}

/** Bytes kept for the statistics, which end a file. */
const STATISTICS_BYTES = 1024;

const allOfThem: Complete = ({ length }) => length;

class FileSink implements Sink {
  readonly live = false;
  /** Where a full file ends, in bytes; null while the file is not full. */
  private end: number | null = null;

  constructor(
    private readonly fd: number,
    private readonly file: string,
  ) {}

  async write(bytes: Uint8Array, complete: Complete = allOfThem): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += await new Promise<number>((resolve, reject) =>
        fs.write(this.fd, bytes, done, bytes.length - done, null, (error, written) =>
          error ? reject(this.failed(error, bytes.subarray(0, done), complete)) : resolve(written),
        ),
      );
    }
  }

  private failed(error: NodeJS.ErrnoException, written: Uint8Array, complete: Complete): Error {
    if (!fs.fstatSync(this.fd).isFile()) return failed(this.file, error);
    try {
      const kept = complete(written.subarray(0, Math.max(0, written.length - STATISTICS_BYTES)));
      const end = positionOf(this.fd) - written.length + kept;
      fs.ftruncateSync(this.fd, end);
      this.end = end;
      return new OutputFull(this.file, error.code ?? 'EIO', kept);
    } catch {
      return failed(this.file, error);
    }
  }

  writeLast(bytes: Uint8Array): Promise<void> {
    const { fd, end } = this;
    if (end === null) return this.write(bytes);
    try {
      for (let done = 0; done < bytes.length;) done += fs.writeSync(fd, bytes, done, bytes.length - done, end + done);
    } catch {
      fs.ftruncateSync(fd, end);
    }
    return Promise.resolve();
  }

  close(): Promise<void> {
    if (this.fd > 2) fs.closeSync(this.fd);
    return Promise.resolve();
  }
}

/** Where a descriptor writes next, in bytes: standard output may have been written to before. */
function positionOf(fd: number): number {
  return Number(/^pos:\s*(\d+)/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1]);
}

/** A pipe or socket, written without blocking: the process handles signals even while the reader is slow. */
class PipeSink implements Sink {
  readonly live = true;
  private readonly socket: net.Socket;
  private gone = false;

  constructor(fd: number) {
    // Other processes may share standard output. A socket cannot be opened again: it does become non-blocking for them.
    this.socket = new net.Socket({ fd: fd === 1 ? reopened(fd) : fd, readable: false, writable: true });
    this.socket.on('error', () => (this.gone = true));
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.gone) return Promise.reject(new ReaderGone());
    return new Promise((resolve, reject) =>
      this.socket.write(bytes, (error) => (error ? reject(new ReaderGone()) : resolve())),
    );
  }

  writeLast(bytes: Uint8Array): Promise<void> {
    return this.write(bytes);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.gone) return resolve();
      this.socket.once('error', () => resolve());
      this.socket.end(() => resolve());
    });
  }
}

// The files of a recording: one, or a sequence of which the latest are kept.

/** When another file is begun. */
export interface Rotation {
  /** Most bytes in a file; Infinity: any number. */
  bytes: number;
  /** Seconds from the first frame of a file on; Infinity: no limit. */
  seconds: number;
  /** Files that are kept; Infinity: all. */
  files: number;
}

export interface OutputFiles {
  readonly format: WrittenFormat;
  readonly rotation: Rotation | null;
  /** Opens the next file. Throws a VnetError. */
  open(): Sink;
}

export const oneFile = (open: () => Sink, format = DEFAULT_WRITER): OutputFiles => ({ format, rotation: null, open });

/** Files named `run-00001.pcapng`, `run-00002.pcapng` and so on. */
export class NumberedFiles implements OutputFiles {
  readonly format: WrittenFormat;
  private count = 0;
  private readonly kept: string[] = [];
  private latest = '';

  constructor(
    private readonly file: string,
    readonly rotation: Rotation,
  ) {
    this.format = writerFor(file);
  }

  /** Says which files there are. */
  get words(): string {
    const [first = this.latest] = this.kept;
    const files = this.kept.length < 2 ? this.latest : `${this.kept.length} files, ${first} to ${this.latest}`;
    return this.kept.length < this.count
      ? `${this.count} files, of which the latest are there: ${first} to ${this.latest}`
      : files;
  }

  /** Names of the files that are kept. */
  get names(): readonly string[] {
    return this.kept;
  }

  open(): Sink {
    const { dir, name, ext } = path.parse(this.file);
    const file = path.join(dir, `${name}-${String(++this.count).padStart(5, '0')}${ext}`);
    const sink = openSink(file);
    this.kept.push(file);
    this.latest = file;
    while (this.kept.length > this.rotation.files) removeOutput(this.kept.shift() as string);
    return sink;
  }
}
