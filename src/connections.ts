// SPDX-License-Identifier: MIT
/**
 * A bounded set of connections of a server. A new connection takes the place of the one that has been idle for longest,
 * so that idle ones never keep out a client with a question.
 */
import type { Socket } from 'node:net';

interface Waiting {
  timer: NodeJS.Timeout;
}

export class Connections {
  /** Connections that may be ended, the oldest first. */
  private readonly idle = new Map<Socket, Waiting>();
  private readonly all = new Set<Socket>();

  /** @param max how many there are at most; @param idleMs how long one may be idle */
  constructor(
    private readonly max: number,
    private readonly idleMs: number,
  ) {}

  get count(): number {
    return this.all.size;
  }

  /** Adds a connection, as idle. If the set is full and none is idle, the new connection is ended instead. */
  add(socket: Socket): void {
    if (this.all.size >= this.max) {
      const [oldest] = this.idle.keys();
      (oldest ?? socket).destroy();
      if (!oldest) return;
      this.forget(oldest);
    }
    this.all.add(socket);
    socket.once('close', () => this.forget(socket));
    this.waits(socket);
  }

  /** Starts the idle time of a connection: it is ended when that is over, unless it is busy, or waits anew, before. */
  waits(socket: Socket): void {
    this.busy(socket);
    if (!this.all.has(socket)) return;
    this.idle.set(socket, { timer: setTimeout(() => socket.destroy(), this.idleMs).unref() });
  }

  /** Marks a connection as busy: it is not ended from here. */
  busy(socket: Socket): void {
    clearTimeout(this.idle.get(socket)?.timer);
    this.idle.delete(socket);
  }

  private forget(socket: Socket): void {
    this.busy(socket);
    this.all.delete(socket);
  }
}
