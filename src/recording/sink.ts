// SPDX-License-Identifier: MIT
/** Where a recording goes: a file, or a pipe whose reader may be slow or gone. */
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';

import { VnetError } from '../errors';

export interface Sink {
  /** Somebody may be looking: then it is written to now and then, which also tells whether he still does. */
  readonly live: boolean;
  /** Resolves when the bytes are on their way; rejects with ReaderGone, or a VnetError. */
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Nobody reads the pipe any more. */
export class ReaderGone extends Error {}

/** `file` is a path, or `-` for standard output. A pipe must have a reader: opening one waits for it. */
export function openSink(file: string): Sink {
  const fd = file === '-' ? 1 : openFile(file);
  const kind = fs.fstatSync(fd);
  return kind.isFIFO() || kind.isSocket() ? new PipeSink(fd) : new FileSink(fd, file);
}

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
/** A recording has everything that was sent: it is its owner's alone. */
const MODE = 0o600;
/** Links of the kernel and of root: /dev/stdout, /dev/fd/63. */
const SYSTEM_LINKS = /^\/(dev|proc)\//;

/** A file that is there keeps its mode and its owner: whoever made it has decided. Links lead where somebody else may have wanted. */
function openFile(file: string): number {
  try {
    return fs.openSync(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, MODE);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw failed(file, cause);
  }
  const follow = SYSTEM_LINKS.test(path.resolve(file)) ? 0 : O_NOFOLLOW;
  let fd: number;
  try {
    // O_CREAT, so that fs.protected_regular and fs.protected_fifos of the kernel look at it.
    fd = fs.openSync(file, O_WRONLY | O_CREAT | follow, MODE);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ELOOP') throw new VnetError('SYSCALL', `recording ${file}`, 'is a symbolic link', { hint: 'name the file that it leads to, or remove it', cause });
    throw failed(file, cause);
  }
  try {
    const found = fs.fstatSync(fd);
    requireOwn(file, found);
    if (found.isFile()) fs.ftruncateSync(fd);
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error instanceof VnetError ? error : failed(file, error);
  }
}

/** A regular file of another user would show him what is recorded. */
function requireOwn(file: string, found: fs.Stats): void {
  const allowed = [0, process.geteuid?.(), Number(process.env['SUDO_UID'] ?? 0)];
  if (!found.isFile() || allowed.includes(found.uid)) return;
  throw new VnetError('SYSCALL', `recording ${file}`, `belongs to another user (${found.uid}), who could read it`, { hint: 'remove it, or name another file' });
}

const failed = (file: string, cause: unknown): VnetError =>
  new VnetError('SYSCALL', `recording ${file}`, cause instanceof Error ? cause.message : String(cause), { hint: 'is the directory there, and the disk not full?', cause });

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
