// SPDX-License-Identifier: MIT
/**
 * Clients that ask a server all at once, both in the test's own process: on an emulated machine another process takes
 * seconds to start. Their frames are the same in each run, because the next question comes when nothing moves any more.
 */
import * as fs from 'node:fs';
import * as net from 'node:net';

import type { Test } from 'tap';

import { delay } from './loop';
import * as native from './native-socket';
import { freePort } from './traffic';

const SO_REUSEADDR = 2;
const SOCK_NONBLOCK = 0o4000;
/** A small datagram takes more of it than a large one. */
const RECEIVE_BUFFER_BYTES = 1 << 26;
const QUESTION_BYTES = 33;
const ANSWER_BYTES = 49;

/** The next datagram of a socket; null if there is none yet. */
export function readNow(fd: number, buffer: Buffer): number | null {
  try {
    return fs.readSync(fd, buffer);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return null;
    throw error;
  }
}

/** Opens a datagram socket of the namespace until the test ends. */
export function openDatagrams(t: Test, netns: string, address: string, port: number): number {
  const fd = native.openSocket(netns, native.AF_INET, native.SOCK_DGRAM | SOCK_NONBLOCK, 0);
  t.teardown(() => fs.closeSync(fd));
  native.setOption(fd, native.SOL_SOCKET, SO_REUSEADDR, 1);
  native.setOption(fd, native.SOL_SOCKET, native.SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
  native.bind(fd, native.socketAddress(address, port));
  return fd;
}

/** Clients, each with a socket of its own and one of the server. */
export class OwnQuestions {
  private readonly pairs: readonly { client: number; server: number }[];
  private readonly buffer = Buffer.alloc(2048);

  constructor(t: Test, netns: string, address: string, port: number, clients: number) {
    this.pairs = Array.from({ length: clients }, () => {
      const from = freePort();
      const [client, server] = [from, port].map((own) => openDatagrams(t, netns, address, own)) as [number, number];
      native.connect(client, native.socketAddress(address, port));
      native.connect(server, native.socketAddress(address, from));
      return { client, server };
    });
  }

  /** Each client asks that often. `isAtRest`: whether no frame is under way. Returns the number of answers. */
  async ask(questions: number, isAtRest: () => boolean): Promise<number> {
    let answers = 0;
    const question = Buffer.alloc(QUESTION_BYTES);
    for (let number = 0; number < questions; number++) {
      question.writeUInt32BE(number);
      for (const { client } of this.pairs) fs.writeSync(client, question);
      for (let quiet = 0; quiet < 2; await delay(1)) {
        const wasAtRest = isAtRest();
        const moved = this.move();
        answers += moved.answers;
        quiet = wasAtRest && moved.datagrams === 0 ? quiet + 1 : 0;
      }
    }
    return answers;
  }

  private move(): { datagrams: number; answers: number } {
    let datagrams = 0;
    let answers = 0;
    for (const { client, server } of this.pairs) {
      for (; readNow(server, this.buffer) !== null; datagrams++)
        fs.writeSync(server, this.buffer.subarray(0, ANSWER_BYTES));
      for (; readNow(client, this.buffer) !== null; datagrams++) answers++;
    }
    return { datagrams, answers };
  }
}

/** Opens connections at once and resets each; returns how many came about. */
export async function ownHandshakes(netns: string, address: string, port: number, count: number): Promise<number> {
  const listening = native.openSocket(netns, native.AF_INET, native.SOCK_STREAM, 0);
  native.setOption(listening, native.SOL_SOCKET, SO_REUSEADDR, 1);
  native.bind(listening, native.socketAddress(address, port));
  const server = net.createServer((socket) => socket.on('error', () => undefined).resume());
  server.listen({ fd: listening });
  const open = async (): Promise<boolean> => {
    const fd = native.openSocket(netns, native.AF_INET, native.SOCK_STREAM | SOCK_NONBLOCK, 0);
    try {
      native.connect(fd, native.socketAddress(address, port));
    } catch (error) {
      if (!(error as Error).message.includes('EINPROGRESS')) throw error;
    }
    const socket = new net.Socket({ fd, readable: true, writable: true });
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.on('error', () => resolve(false)).write('x', (error) => resolve(!error));
    });
    socket.resetAndDestroy();
    return isOpen;
  };
  const opened = await Promise.all(Array.from({ length: count }, open));
  server.close();
  return opened.filter(Boolean).length;
}
