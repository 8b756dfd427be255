// SPDX-License-Identifier: MIT
/**
 * The connections of a server, bounded: one more takes the place of the one that has been idle for longest, so that
 * idle ones never keep out somebody who has a question.
 */
import type { Socket } from 'node:net';

interface Waiting {
  timer: NodeJS.Timeout;
}

export class Connections {
  /** Those that may be ended, the oldest first. */
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

  /** Takes one in, idle. Ends it instead if there is no place that an idle one could leave. */
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

  /** Its time begins: it is ended unless it is busy, or waits anew, before that is over. */
  waits(socket: Socket): void {
    this.busy(socket);
    if (!this.all.has(socket)) return;
    this.idle.set(socket, { timer: setTimeout(() => socket.destroy(), this.idleMs).unref() });
  }

  /** It is ended by nothing here. */
  busy(socket: Socket): void {
    clearTimeout(this.idle.get(socket)?.timer);
    this.idle.delete(socket);
  }

  private forget(socket: Socket): void {
    this.busy(socket);
    this.all.delete(socket);
  }
}
