// SPDX-License-Identifier: MIT
/**
 * Waiting for descriptors without blocking the event loop: all of a thread's waits share one epoll, on one thread of
 * libuv's pool, which is taken only while something waits.
 */
import { isMainThread } from 'node:worker_threads';

import { Errno, systemError } from './errors';
import { OwnedFd } from './fd';
import { callOnThread, lastErrno, libc, littleEndian } from './native/ffi';

const CLOEXEC = 0o2000000;
const NONBLOCK = 0o4000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const MAX_EVENTS = 16;
/** `struct epoll_event` is packed on x86-64 only (include/uapi/linux/eventpoll.h). */
const EVENT_SIZE = process.arch === 'x64' ? 12 : 16;
const EVENT_DATA = EVENT_SIZE - 8;
/** The end of a worker waits for what is in libuv's pool, and nothing tells of that end, so a worker's waits are short. */
const TIMEOUT_MS = isMainThread ? -1 : 200;

const one = new BigUint64Array([1n]);

class Readiness {
  readonly #epoll = owned(libc.epoll_create1(CLOEXEC), 'epoll_create1');
  readonly #bell = owned(libc.eventfd(0, CLOEXEC | NONBLOCK), 'eventfd');
  readonly #events = new Uint8Array(new ArrayBuffer(MAX_EVENTS * EVENT_SIZE));
  readonly #view = new DataView(this.#events.buffer);
  readonly #waiting = new Map<number, () => void>();
  #running = false;

  constructor() {
    this.#control(EPOLL_CTL_ADD, this.#bell.value);
    // Otherwise the end of the process would wait for the pool's thread.
    if (isMainThread) process.once('exit', () => this.#ring());
  }

  /** Resolves once the descriptor has input, or the signal has come. */
  async wait(fd: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return;
    this.#control(EPOLL_CTL_ADD, fd);
    await new Promise<void>((resolve) => {
      const end = (): void => {
        signal?.removeEventListener('abort', end);
        this.#waiting.delete(fd);
        this.#control(EPOLL_CTL_DEL, fd);
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
      const ready = await callOnThread(libc.epoll_wait, this.#epoll.value, this.#events, MAX_EVENTS, TIMEOUT_MS);
      for (let i = 0; i < ready; i++) {
        const fd = this.#view.getUint32(i * EVENT_SIZE + EVENT_DATA, littleEndian);
        if (fd === this.#bell.value) libc.read(fd, new BigUint64Array(new ArrayBuffer(8)), 8);
        else this.#waiting.get(fd)?.();
      }
    }
    this.#running = false;
  }

  #ring(): void {
    if (this.#running) libc.write(this.#bell.value, one, 8);
  }

  #control(operation: number, fd: number): void {
    const event = new Uint8Array(new ArrayBuffer(EVENT_SIZE));
    const view = new DataView(event.buffer);
    view.setUint32(0, EPOLLIN, littleEndian);
    view.setUint32(EVENT_DATA, fd, littleEndian);
    if (libc.epoll_ctl(this.#epoll.value, operation, fd, event) >= 0) return;
    const errno = lastErrno();
    // Its owner has closed it meanwhile, which has taken it away.
    const gone = operation === EPOLL_CTL_DEL && (errno === Errno.EBADF || errno === Errno.ENOENT);
    if (!gone) throw systemError('epoll_ctl', errno);
  }
}

function owned(fd: number, operation: string): OwnedFd {
  if (fd < 0) throw systemError(operation, lastErrno());
  return new OwnedFd(fd, operation);
}

let readiness: Readiness | undefined;

/**
 * Resolves once a descriptor has input, or the signal has come; the descriptor must stay open until then. Only one wait
 * for a descriptor at a time.
 */
export const untilReadable = (fd: number, signal?: AbortSignal): Promise<void> =>
  (readiness ??= new Readiness()).wait(fd, signal);
