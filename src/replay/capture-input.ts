// SPDX-License-Identifier: MIT
/** The bytes of a capture file, a pipe or standard input, and how far they have been read. */
import * as fs from 'node:fs';
import * as net from 'node:net';
import type { Readable } from 'node:stream';

import { usageError, VnetError } from '../errors';
import { isTerminal } from '../native/terminal';
import { CAPTURE_FILE } from './captured-frame';

const CHUNK_BYTES = 1 << 20;
/** The name of standard input. */
export const STDIN = '-';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'this user may not read it',
  EISDIR: 'is a directory',
};

export class CaptureInput implements AsyncIterable<Buffer> {
  /** Bytes read so far. */
  read = 0;

  private constructor(
    private readonly file: string,
    private readonly stream: Readable,
    /** Bytes in all; null where that is not known. */
    readonly size: number | null,
  ) {}

  /** Opens a path, or `-` for standard input; waits for the writer of a pipe that has a name. Throws a VnetError. */
  static open(file: string): CaptureInput {
    let fd = 0;
    try {
      if (file !== STDIN) fd = fs.openSync(file, 'r');
      return CaptureInput.of(file, fd);
    } catch (error) {
      if (fd > 2) fs.closeSync(fd);
      throw readError(file, error);
    }
  }

  private static of(file: string, fd: number): CaptureInput {
    const stat = fs.fstatSync(fd);
    if (stat.isDirectory()) throw Object.assign(new Error('EISDIR'), { code: 'EISDIR' });
    if (isTerminal(stat)) throw usageError(file === STDIN ? 'replay -' : file, 'is a terminal', 'such as: zstd -dc run.pcap.zst | vnet-bpf replay - --into vnet0');
    // Reading a pipe would keep a thread of Node's, which the process cannot end without.
    if (stat.isFIFO() || stat.isSocket()) return new CaptureInput(file, new net.Socket({ fd, readable: true, writable: false }), null);
    return new CaptureInput(file, fs.createReadStream(file, { fd, autoClose: fd > 2, highWaterMark: CHUNK_BYTES }), stat.isFile() ? stat.size : null);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    const chunks = this.stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    for (;;) {
      const next = await chunks.next().catch((error: unknown) => {
        throw readError(this.file, error);
      });
      if (next.done) return;
      this.read += next.value.length;
      yield next.value;
    }
  }

  /** Closes it; who reads just now is told that there is no more. */
  close(): void {
    this.stream.destroy();
  }
}

function readError(file: string, cause: unknown): unknown {
  if (cause instanceof VnetError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const why = code !== undefined && code in REASONS ? `${REASONS[code]} (${code})` : message;
  const hint = code === 'EISDIR' && file !== STDIN ? 'name a file in it, or several: cat FILE/*.pcap | vnet-bpf replay - --into IFACE' : 'a file in pcapng or pcap, such as vnet-bpf record writes';
  return new VnetError('SYSCALL', CAPTURE_FILE, why, { hint, cause });
}
