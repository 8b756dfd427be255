// SPDX-License-Identifier: MIT
/** Where a recording goes: a file, or a pipe whose reader may be slow or gone. */
import * as fs from 'node:fs';
import * as net from 'node:net';

import { VnetError } from '../errors';
import { openCallersFifo, openOutput } from '../native/output-file';
import { cannotBeWritten } from '../native/standard-streams';
import { NotTrusted } from '../native/trusted';

export interface Sink {
  /** Somebody may be looking: then it is written to now and then, which also tells whether he still does. */
  readonly live: boolean;
  /** Resolves when the bytes are on their way; rejects with ReaderGone, or a VnetError. */
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Nobody reads the pipe any more. */
export class ReaderGone extends Error {}

/** The name of standard output. */
export const STDOUT = '-';

/** `file` is a path, or STDOUT. A pipe must have a reader: opening one waits for it. */
export function openSink(file: string): Sink {
  return sinkOf(file === STDOUT ? 1 : opened(openOutput, file), file);
}

/** A pipe that whoever called has made. */
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
    hint: cause instanceof NotTrusted ? 'name a file of your own, in a directory of your own' : 'is the directory there, and the disk not full?',
    cause,
  });
}

class FileSink implements Sink {
  readonly live = false;

  constructor(
    private readonly fd: number,
    private readonly file: string,
  ) {}

  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      done += await new Promise<number>((resolve, reject) =>
        fs.write(this.fd, bytes, done, bytes.length - done, null, (error, written) => (error ? reject(failed(this.file, error)) : resolve(written))),
      );
    }
  }

  close(): Promise<void> {
    if (this.fd > 2) fs.closeSync(this.fd);
    return Promise.resolve();
  }
}

/** Not blocking: while a reader is slow this process still hears signals. */
class PipeSink implements Sink {
  readonly live = true;
  private readonly socket: net.Socket;
  private gone = false;

  constructor(fd: number) {
    this.socket = new net.Socket({ fd, readable: false, writable: true });
    this.socket.on('error', () => (this.gone = true));
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.gone) return Promise.reject(new ReaderGone());
    return new Promise((resolve, reject) => this.socket.write(bytes, (error) => (error ? reject(new ReaderGone()) : resolve())));
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.gone) return resolve();
      this.socket.once('error', () => resolve());
      this.socket.end(() => resolve());
    });
  }
}
