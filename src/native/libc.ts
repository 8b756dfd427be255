// SPDX-License-Identifier: MIT
/**
 * The system calls that Node lacks, each declared once. Nothing else in vnet-bpf calls koffi for them, and nothing
 * untyped leaves this file. Failures are SystemErrors with the errno by name.
 */
import * as fs from 'node:fs';

import { koffiMissing } from 'libbpf-ts';

// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });

function load(): Koffi {
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    return require('koffi') as Koffi;
  } catch (cause) {
    throw koffiMissing(cause);
  }
}

const koffi = load();

type Native = (...args: (number | string | Uint8Array | Uint32Array | null)[]) => number;

const libc = koffi.load('libc.so.6');
const declare = (prototype: string): Native => libc.func(prototype) as unknown as Native;

const c = {
  setns: declare('int setns(int fd, int nstype)'),
  unshare: declare('int unshare(int flags)'),
  mount: declare(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
  ),
  umount2: declare('int umount2(const char *target, int flags)'),
  flock: declare('int flock(int fd, int operation)'),
  syscall: declare('long syscall(long number, int pid, unsigned int flags)'),
  waitid: declare('int waitid(int type, unsigned int id, uint8_t *info, int options)'),
  fcntl: declare('int fcntl(int fd, int command, int argument)'),
  socket: declare('int socket(int domain, int type, int protocol)'),
  setsockopt: declare('int setsockopt(int fd, int level, int name, const uint8_t *value, unsigned int length)'),
  getsockopt: declare('int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)'),
  bind: declare('int bind(int fd, const uint8_t *address, unsigned int length)'),
  connect: declare('int connect(int fd, const uint8_t *address, unsigned int length)'),
  recv: declare('long recv(int fd, uint8_t *buffer, size_t length, int flags)'),
  recvmsg: declare('long recvmsg(int fd, uintptr_t message, int flags)'),
  send: declare('long send(int fd, const uint8_t *buffer, size_t length, int flags)'),
  ioctl: declare('int ioctl(int fd, unsigned long request, uint8_t *argument)'),
  sched_getaffinity: declare('int sched_getaffinity(int pid, size_t size, uint8_t *mask)'),
  sched_setaffinity: declare('int sched_setaffinity(int pid, size_t size, const uint8_t *mask)'),
  poll: declare('int poll(_Inout_ uint8_t *descriptors, unsigned long count, int timeout)'),
  ppoll: declare('int ppoll(uint8_t *descriptors, unsigned long count, const uint8_t *timeout, uint8_t *signals)'),
  signal: declare('uintptr_t signal(int number, uintptr_t handler)'),
  getxattr: declare('long getxattr(const char *path, const char *name, uint8_t *value, size_t size)'),
  _exit: declare('void _exit(int status)'),
  mallopt: declare('int mallopt(int parameter, int value)'),
  // Addresses are numbers: the hot path passes memory that was set up once.
  sendmmsg: declare('int sendmmsg(int fd, uintptr_t messages, unsigned int count, int flags)'),
};

const nameOf = new Map<number, string>(Object.entries(koffi.os.errno).map(([name, value]) => [value, name]));

export const errnoOf = koffi.os.errno as Readonly<Record<string, number>>;

/** The name of an errno value, such as `ENOBUFS`. */
export function errnoName(errno: number): string {
  return nameOf.get(errno) ?? `errno ${errno}`;
}

/** The failure of a system call. */
export class SystemError extends Error {
  readonly code: string;
  constructor(
    readonly operation: string,
    readonly errno: number,
  ) {
    super(`${operation}: ${errnoName(errno)}`);
    this.name = 'SystemError';
    this.code = errnoName(errno);
  }
}

function check(operation: string, result: number): number {
  if (result < 0) throw new SystemError(operation, koffi.errno());
  return result;
}

const CLONE_NEWNET = 0x40000000;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;

/** Moves the calling thread into the network namespace that `fd` refers to. */
export function setNetns(fd: number): void {
  check('setns', c.setns(fd, CLONE_NEWNET));
}

/** Gives the calling thread a new network namespace. */
export function unshareNetns(): void {
  check('unshare(CLONE_NEWNET)', c.unshare(CLONE_NEWNET));
}

const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MS_SHARED = 0x100000;
const MNT_DETACH = 2;

/** Binds a file, or a directory and the mounts in it, to another place. */
export function bindMount(source: string, target: string): void {
  check('mount(MS_BIND)', c.mount(source, target, null, MS_BIND | MS_REC, null));
}

/** Mounts a file system that needs no device. */
export function mountFileSystem(type: string, target: string, options: string): void {
  check('mount', c.mount(type, target, type, 0, options));
}

/**
 * Shares the mounts below a mount point with all mount namespaces that have it. Throws EINVAL if nothing is mounted
 * there.
 */
export function shareMount(target: string): void {
  check('mount(MS_SHARED)', c.mount(null, target, null, MS_SHARED | MS_REC, null));
}

/** Unmounts a mount point: it is out of sight at once, and gone when nothing uses it any more. */
export function unmountLazily(target: string): void {
  check('umount2(MNT_DETACH)', c.umount2(target, MNT_DETACH));
}

const F_DUPFD_CLOEXEC = 1030;

/** Another descriptor of what `fd` refers to, close-on-exec and never 0; the caller owns it. */
export function duplicateFd(fd: number): number {
  return check('fcntl(F_DUPFD_CLOEXEC)', c.fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** Keeps programs that this process starts from inheriting a descriptor, unless it is passed to them. */
export function setCloseOnExec(fd: number): void {
  check('fcntl(F_SETFD)', c.fcntl(fd, F_SETFD, FD_CLOEXEC));
}

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

/** Takes an exclusive lock on an open file without waiting; false if another descriptor has it. */
export function tryLock(fd: number, kind: 'exclusive' | 'shared' = 'exclusive'): boolean {
  if (c.flock(fd, (kind === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0) return true;
  const errno = koffi.errno();
  if (errno === errnoOf['EWOULDBLOCK'] || errno === errnoOf['EAGAIN']) return false;
  throw new SystemError('flock', errno);
}

/** Opens a socket, close-on-exec and non-blocking; the caller owns the descriptor. */
export function openSocket(domain: number, type: number, protocol: number): number {
  return check('socket', c.socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
}

/** Sets a socket option whose value is an int. */
export function setSocketOption(fd: number, level: number, name: number, value: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  check('setsockopt', c.setsockopt(fd, level, name, bytes, 4));
}

/** The value of a socket option that is a u64; null if the kernel does not know the option. */
export function socketOption64(fd: number, level: number, name: number): bigint | null {
  const value = new Uint8Array(8);
  const result = c.getsockopt(fd, level, name, value, Uint32Array.of(value.length));
  if (result < 0 && koffi.errno() === errnoOf['ENOPROTOOPT']) return null;
  check('getsockopt', result);
  return new DataView(value.buffer).getBigUint64(0, true);
}

/** Binds a socket to a raw sockaddr. */
export function bindSocket(fd: number, address: Uint8Array): void {
  check('bind', c.bind(fd, address, address.length));
}

/** Connects a socket to a raw sockaddr. */
export function connectSocket(fd: number, address: Uint8Array): void {
  check('connect', c.connect(fd, address, address.length));
}

const MSG_DONTWAIT = 0x40;

/** Sends without waiting; returns the bytes sent, or the negative errno. */
export function sendBytes(fd: number, bytes: Uint8Array): number {
  const sent = c.send(fd, bytes, bytes.length, MSG_DONTWAIT);
  return sent >= 0 ? sent : -koffi.errno();
}

/** Receives without waiting; returns the bytes received, or the negative errno. */
export function receiveBytes(fd: number, buffer: Uint8Array): number {
  const received = c.recv(fd, buffer, buffer.length, MSG_DONTWAIT);
  return received >= 0 ? received : -koffi.errno();
}

/**
 * recvmsg without waiting, with the msghdr at the address `message`; returns the bytes received, or the negative errno.
 */
export function receiveMessage(fd: number, message: number): number {
  const received = c.recvmsg(fd, message, MSG_DONTWAIT);
  return received >= 0 ? received : -koffi.errno();
}

/**
 * sendmmsg on memory set up by the caller: `messages` is the address of `count` mmsghdr. Returns the number sent, or
 * the negative errno. Never throws: it is the hot path.
 */
export function sendMessages(fd: number, messages: number, count: number, flags: number): number {
  const sent = c.sendmmsg(fd, messages, count, flags);
  return sent >= 0 ? sent : -koffi.errno();
}

/**
 * ioctl on a structure that holds a pointer: the address of `data` is written into `argument` at `pointerAt`. Each has
 * to be in an ArrayBuffer of its own, whose memory does not move.
 */
export function ioctlWith(
  fd: number,
  request: number,
  argument: Uint8Array,
  pointerAt: number,
  data: ArrayBuffer,
): void {
  new DataView(argument.buffer).setBigUint64(pointerAt, koffi.address(data), true);
  check('ioctl', c.ioctl(fd, request, argument));
}

/** Size of a CPU mask in bytes: enough for 8192 CPUs, more than any kernel is configured for. */
const CPU_MASK_BYTES = 1024;

/** The CPUs on which the calling thread may run, in order. */
export function allowedCpus(): number[] {
  const mask = new Uint8Array(CPU_MASK_BYTES);
  check('sched_getaffinity', c.sched_getaffinity(0, mask.length, mask));
  const cpus: number[] = [];
  mask.forEach((byte, i) => {
    for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) cpus.push(i * 8 + bit);
  });
  return cpus;
}

/** Binds the calling thread to one CPU. */
export function bindToCpu(cpu: number): void {
  const mask = new Uint8Array(CPU_MASK_BYTES);
  mask[cpu >> 3] = 1 << (cpu & 7);
  check('sched_setaffinity', c.sched_setaffinity(0, mask.length, mask));
}

/** Parameters of mallopt(3), and the size in bytes from which freed memory goes back to the kernel. */
const [M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, KEPT_BYTES] = [-1, -3, 1 << 20];

/**
 * Makes malloc give freed memory back to the kernel. By default it keeps more the larger what was freed, for each thread
 * of the pool: libbpf reads the kernel's types into 10 MB while it loads programs. For processes of our own, as it
 * concerns everything in the process.
 */
export function returnFreedMemory(): void {
  for (const parameter of [M_TRIM_THRESHOLD, M_MMAP_THRESHOLD]) c.mallopt(parameter, KEPT_BYTES);
}

/** Ends the process at once, without running exit handlers, those of libraries included. */
export function exitAtOnce(status: number): void {
  c._exit(status);
}

/** Size of struct pollfd, and the offsets of its events and revents. */
const POLLFD_BYTES = 8;
const EVENTS_AT = 4;
const REVENTS_AT = 6;
const POLLERR = 0x8;
const POLLHUP = 0x10;

const POLLOUT = 0x4;

function poll(fd: number, events: number, ms: number): { result: number; happened: number } {
  const descriptors = new DataView(new ArrayBuffer(POLLFD_BYTES));
  descriptors.setInt32(0, fd, true);
  descriptors.setUint16(EVENTS_AT, events, true);
  const result = c.poll(new Uint8Array(descriptors.buffer), 1, ms);
  return { result, happened: descriptors.getUint16(REVENTS_AT, true) };
}

/** Whether a pipe for writing has lost its last reader, a socket its peer, or a terminal has gone. */
export function hasLostItsReader(fd: number): boolean {
  const { result, happened } = poll(fd, 0, 0);
  check('poll', result);
  return (happened & (POLLERR | POLLHUP)) !== 0;
}

/** Waits until a descriptor can be written to, for at most `ms` milliseconds; blocks the thread. False if it cannot. */
export const isWritableWithin = (fd: number, ms: number): boolean => poll(fd, POLLOUT, ms).result > 0;

const POLLIN = 0x1;
const pollin = new DataView(new ArrayBuffer(POLLFD_BYTES));
const pollinBytes = new Uint8Array(pollin.buffer);
/** struct timespec: seconds and nanoseconds, of 64 bits each. */
const timespec = new Float64Array(2);
const timespecWords = new Uint32Array(timespec.buffer);
const timespecBytes = new Uint8Array(timespec.buffer);

/**
 * Waits until a descriptor can be read, for less than a second; blocks the thread. The time is in milliseconds, with
 * fractions. Never throws.
 */
export function waitReadable(fd: number, ms: number): void {
  pollin.setInt32(0, fd, true);
  pollin.setUint16(EVENTS_AT, POLLIN, true);
  timespecWords[2] = Math.min(999_999_999, Math.max(0, Math.floor(ms * 1e6)));
  c.ppoll(pollinBytes, 1, timespecBytes, null);
}

const SIG_IGN = 1;

/** Makes this process ignore a signal from now on. Not for a signal that Node.js listens to. */
export function ignoreSignal(number: number): void {
  c.signal(number, SIG_IGN);
}

const P_PID = 1;
const WNOHANG = 0x1;
const WEXITED = 0x4;
const WNOWAIT = 0x1000000;
/** Size of siginfo_t, and the offsets of its fields. */
const SIGINFO_BYTES = 128;
const SI_CODE_AT = 8;
const SI_PID_AT = 16;
const SI_STATUS_AT = 24;
const CLD_EXITED = 1;

/** How a child of this process has ended; null if it has been reaped. It is left for Node to reap. */
function endOf(pid: number): DataView | null {
  const info = new DataView(new ArrayBuffer(SIGINFO_BYTES));
  return c.waitid(P_PID, pid, new Uint8Array(info.buffer), WEXITED | WNOHANG | WNOWAIT) < 0 ? null : info;
}

/** Whether a child of this process has ended. It is left for Node to reap. */
export const childHasEnded = (pid: number): boolean => endOf(pid)?.getInt32(SI_PID_AT, true) !== 0;

export interface FdWatch {
  close(): void;
}

/**
 * Calls back on the event loop while `fd` is readable. Does not keep the process alive. Not for a thread that may end
 * before the watch is closed: koffi aborts the process then.
 */
export function watchReadable(fd: number, onReadable: () => void): FdWatch {
  const handle = koffi.node.poll(fd, { readable: true }, onReadable);
  handle.unref();
  return {
    close: () => {
      handle.stop();
      handle.close();
    },
  };
}

/** The same number on every architecture. */
const SYS_PIDFD_OPEN = 434;

/**
 * Calls back before the `exit` event of a child, with the number of the signal that has ended it, or 0 if it exited:
 * Node.js knows no real-time signals, and reports them as an exit with code 0. The event loop looks at descriptors
 * before signals, and so before it reaps. Never calls back where pidfd_open is not allowed.
 */
export function watchEndOfChild(pid: number, onEnd: (signal: number) => void): FdWatch {
  const fd = c.syscall(SYS_PIDFD_OPEN, pid, 0);
  if (fd < 0) return { close: () => undefined };
  const watch = watchReadable(fd, () => {
    close();
    const end = endOf(pid);
    if (end) onEnd(end.getInt32(SI_CODE_AT, true) === CLD_EXITED ? 0 : end.getInt32(SI_STATUS_AT, true));
  });
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    watch.close();
    fs.closeSync(fd);
  };
  return { close };
}

/** Whether others than owner and group have rights to a file or directory, by an access control list. */
export function hasAccessList(file: string): boolean {
  // The length of the list, or an error if there is none, or the file system has no lists.
  return c.getxattr(file, 'system.posix_acl_access', null, 0) > 0;
}
