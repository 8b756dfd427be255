// SPDX-License-Identifier: MIT
/** Waiting for descriptors: epoll(7), and a bell, eventfd(2), with which a thread ends the wait of another. */
import { Errno, systemError } from './errors';
import { OwnedFd } from './fd';
import { callOnThread, lastErrno, libc, littleEndian } from './native/ffi';

const CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const MAX_EVENTS = 16;
/** `struct epoll_event` is packed on x86-64 only (include/uapi/linux/eventpoll.h). */
const EVENT_SIZE = process.arch === 'x64' ? 12 : 16;
const EVENT_DATA = EVENT_SIZE - 8;

/** Descriptors that are watched for input, level-triggered, each with a number of 32 bits that tells it from others. */
export class Epoll implements Disposable {
  readonly #fd: OwnedFd;
  readonly #events = new Uint8Array(new ArrayBuffer(MAX_EVENTS * EVENT_SIZE));
  readonly #view = new DataView(this.#events.buffer);

  /** @param what its name in errors */
  constructor(what: string) {
    this.#fd = owned(libc.epoll_create1(CLOEXEC), 'epoll_create1', what);
  }

  /** Watches a descriptor, which stays the caller's. */
  add(fd: number, data: number): void {
    const event = new Uint8Array(new ArrayBuffer(EVENT_SIZE));
    const view = new DataView(event.buffer);
    view.setUint32(0, EPOLLIN, littleEndian);
    view.setUint32(EVENT_DATA, data, littleEndian);
    if (libc.epoll_ctl(this.#fd.value, EPOLL_CTL_ADD, fd, event) < 0)
      throw systemError('epoll_ctl(EPOLL_CTL_ADD)', lastErrno());
  }

  /** Stops watching a descriptor. @param harmless errnos that are no error, for what was not watched any more */
  remove(fd: number, ...harmless: number[]): void {
    if (libc.epoll_ctl(this.#fd.value, EPOLL_CTL_DEL, fd, null) >= 0) return;
    const errno = lastErrno();
    if (!harmless.includes(errno)) throw systemError('epoll_ctl(EPOLL_CTL_DEL)', errno);
  }

  /**
   * Waits, which blocks the calling thread.
   *
   * @param timeoutMs milliseconds; -1 waits forever
   * @returns how many descriptors are ready, for data(); 0 after a timeout or a signal
   */
  wait(timeoutMs: number): number {
    const ready = libc.epoll_wait(this.#fd.value, this.#events, MAX_EVENTS, timeoutMs);
    if (ready >= 0) return ready;
    const errno = lastErrno();
    if (errno === Errno.EINTR) return 0;
    throw systemError('epoll_wait', errno);
  }

  /** As wait(), on a thread of libuv's pool; negative after a signal. */
  waitOnThread(timeoutMs: number): Promise<number> {
    return callOnThread(libc.epoll_wait, this.#fd.value, this.#events, MAX_EVENTS, timeoutMs);
  }

  /** The number of a descriptor that the last wait has found ready. */
  data(index: number): number {
    return this.#view.getUint32(index * EVENT_SIZE + EVENT_DATA, littleEndian);
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const one = new BigUint64Array([1n]);

/** Rings the bell with this descriptor; can be called from any thread of the process. */
export function ringBell(fd: number): void {
  // EAGAIN means that it has been rung 2^64 - 2 times: whoever waits is awake.
  libc.write(fd, one, 8);
}

/** An eventfd, which has input from ring() until silence(). */
export class Bell implements Disposable {
  readonly #fd: OwnedFd;
  readonly #drain = new BigUint64Array(new ArrayBuffer(8));

  /** @param what its name in errors */
  constructor(what: string) {
    this.#fd = owned(libc.eventfd(0, CLOEXEC | EFD_NONBLOCK), 'eventfd', what);
  }

  /** The descriptor; still owned here. */
  get fd(): number {
    return this.#fd.value;
  }

  /** Harmless after close(). */
  ring(): void {
    if (!this.#fd.closed) ringBell(this.#fd.value);
  }

  silence(): void {
    libc.read(this.#fd.value, this.#drain, 8);
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function owned(fd: number, operation: string, what: string): OwnedFd {
  if (fd < 0) throw systemError(operation, lastErrno());
  return new OwnedFd(fd, what);
}
