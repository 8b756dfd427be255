// SPDX-License-Identifier: MIT
import { koffi } from './koffi';
import type { LibraryHandle } from './koffi';
import { bindLazily } from './lazy';

/** An address as a JS number; user-space addresses are below 2^47 (2^56 with five-level paging never by default). */
export type Address = number;
type Bytes = NodeJS.TypedArray | null;

/** Every libc function this package calls. They return -1 and set errno on failure. */
export interface Libc {
  close(fd: number): number;
  fcntl(fd: number, command: number, type: 'int', argument: number): number;
  getpagesize(): number;
  malloc_trim(pad: number): number;
  mmap(address: Address, length: number, protection: number, flags: number, fd: number, offset: number): Address;
  munmap(address: Address, length: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epollFd: number, operation: number, fd: number, event: Bytes): number;
  epoll_wait(epollFd: number, events: Bytes, maxEvents: number, timeoutMs: number): number;
  eventfd(initial: number, flags: number): number;
  read(fd: number, buffer: Bytes, length: number): number;
  write(fd: number, buffer: Bytes, length: number): number;
  socket(domain: number, type: number, protocol: number): number;
  send(fd: number, buffer: Bytes, length: number, flags: number): number;
  recv(fd: number, buffer: Bytes, length: number, flags: number): number;
}

let handle: LibraryHandle | undefined;

export const libc: Libc = bindLazily<Libc>(() => (handle ??= koffi.load('libc.so.6')), {
  close: 'int close(int fd)',
  fcntl: 'int fcntl(int fd, int command, ...)',
  getpagesize: 'int getpagesize(void)',
  malloc_trim: 'int malloc_trim(size_t pad)',
  mmap: 'intptr_t mmap(uintptr_t address, size_t length, int protection, int flags, int fd, int64_t offset)',
  munmap: 'int munmap(uintptr_t address, size_t length)',
  epoll_create1: 'int epoll_create1(int flags)',
  epoll_ctl: 'int epoll_ctl(int epfd, int op, int fd, void *event)',
  epoll_wait: 'int epoll_wait(int epfd, void *events, int maxevents, int timeout)',
  eventfd: 'int eventfd(unsigned int initval, int flags)',
  read: 'intptr_t read(int fd, void *buffer, size_t length)',
  write: 'intptr_t write(int fd, const void *buffer, size_t length)',
  socket: 'int socket(int domain, int type, int protocol)',
  send: 'intptr_t send(int fd, const void *buffer, size_t length, int flags)',
  recv: 'intptr_t recv(int fd, void *buffer, size_t length, int flags)',
});

/** errno of the last native call on this thread; read it before anything else is called. */
export function lastErrno(): number {
  return koffi.errno();
}
