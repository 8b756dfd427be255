// SPDX-License-Identifier: MIT
/**
 * Waiting for descriptors without blocking the event loop: all of a thread's waits share one epoll, on one thread of
 * libuv's pool, which is taken only while something waits.
 */
import { isMainThread } from 'node:worker_threads';

import { Bell, Epoll } from './epoll';
import { Errno } from './errors';

/** The end of a worker waits for what is in libuv's pool, and nothing tells of that end, so a worker's waits are short. */
const TIMEOUT_MS = isMainThread ? -1 : 200;

class Readiness {
  readonly #epoll = new Epoll('readiness');
  readonly #bell = new Bell('readiness');
  /** By descriptor. */
  readonly #waiting = new Map<number, () => void>();
  #running = false;

  constructor() {
    this.#epoll.add(this.#bell.fd, this.#bell.fd);
    // Otherwise the end of the process would wait for the pool's thread.
    if (isMainThread) process.once('exit', () => this.#ring());
  }

  /** Resolves once the descriptor has input, or the signal has come. */
  async wait(fd: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return;
    this.#epoll.add(fd, fd);
    await new Promise<void>((resolve) => {
      const end = (): void => {
        signal?.removeEventListener('abort', end);
        this.#waiting.delete(fd);
        // Its owner may have closed it meanwhile, which has taken it away.
        this.#epoll.remove(fd, Errno.EBADF, Errno.ENOENT);
        if (this.#waiting.size === 0) this.#ring();
        resolve();
      };
      this.#waiting.set(fd, end);
      signal?.addEventListener('abort', end);
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    while (this.#waiting.size > 0) {
      const ready = await this.#epoll.waitOnThread(TIMEOUT_MS);
      for (let i = 0; i < ready; i++) {
        const fd = this.#epoll.data(i);
        if (fd === this.#bell.fd) this.#bell.silence();
        else this.#waiting.get(fd)?.();
      }
    }
    this.#running = false;
  }

  #ring(): void {
    if (this.#running) this.#bell.ring();
  }
}

let readiness: Readiness | undefined;

/**
 * Resolves once a descriptor has input, or the signal has come; the descriptor must stay open until then. Only one wait
 * for a descriptor at a time.
 */
export const untilReadable = (fd: number, signal?: AbortSignal): Promise<void> =>
  (readiness ??= new Readiness()).wait(fd, signal);

/** Lets other events of this thread have their turn. */
export const aTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
