// SPDX-License-Identifier: MIT
/**
 * The foreign function interface: koffi, functions that are bound at first use, those of libc, and memory to which C
 * can point.
 */

/**
 * The error for a missing part of koffi, with the code KOFFI_MISSING: the part for each kind of machine is an optional
 * package, which npm may be told to omit.
 */
export function koffiMissing(cause: unknown): Error {
  const machine = `${process.platform}-${process.arch}`;
  const why = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
  // koffi takes every failure for a missing file.
  const [reason, hint] = isInstalled(`@koromix/koffi-${machine}`)
    ? ['it is there; is memory short?', 'look at ulimit -v and at memory.max of the control group']
    : [why, 'npm install without --omit=optional brings it'];
  const error = new Error(`koffi: its part for ${machine.replace('-', ' on ')} cannot be loaded (${reason}); ${hint}`, {
    cause,
  });
  return Object.assign(error, { code: 'KOFFI_MISSING' });
}

function isInstalled(name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
export type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
export type LibraryHandle = import('koffi', { with: { 'resolution-mode': 'import' } }).LibraryHandle;

/** koffi itself. Only the files of this folder use it. */
export const koffi = load();

function load(): Koffi {
  try {
    return withoutStderr(() => require('koffi') as Koffi);
  } catch (cause) {
    throw koffiMissing(cause);
  }
}

/**
 * Runs something while process.stderr is hidden. koffi copies every property of node:util, among them those that Node
 * loads at first use, which look at process.stderr (Node 24: internal/util/colors). Node would open it then, and make
 * the pipe non-blocking for every program that shares it.
 */
function withoutStderr<Result>(action: () => Result): Result {
  const original = Object.getOwnPropertyDescriptor(process, 'stderr');
  if (!original?.configurable) return action();
  Object.defineProperty(process, 'stderr', { value: undefined, configurable: true });
  try {
    return action();
  } finally {
    Object.defineProperty(process, 'stderr', original);
  }
}

/**
 * Turns a table of C prototypes into an object of functions that are bound at first use.
 *
 * Nothing is loaded until a function is read from the object, so importing this package never fails because a
 * library is missing. `missing` makes the error for a function that the library does not have. After the first read the bound function is an own data property, without a wrapper in between.
 */
export function bindLazily<Functions extends object>(
  open: () => LibraryHandle,
  prototypes: { readonly [Name in keyof Functions]: string },
  missing?: (name: string, cause: unknown) => Error,
): Functions {
  const bound = {};
  for (const [name, prototype] of Object.entries<string>(prototypes)) {
    Object.defineProperty(bound, name, {
      configurable: true,
      enumerable: true,
      get(): unknown {
        const library = open();
        let value: unknown;
        try {
          value = library.func(prototype);
        } catch (cause) {
          throw missing?.(name, cause) ?? cause;
        }
        Object.defineProperty(bound, name, { value, enumerable: true });
        return value;
      },
    });
  }
  return bound as Functions;
}

/**
 * Calls a function of such an object on a thread of libuv's pool; the memory that its arguments point to must not go
 * away.
 */
export function callOnThread<Arguments extends unknown[], Result>(
  bound: (...args: Arguments) => Result,
  ...args: Arguments
): Promise<Result> {
  const native = bound as unknown as {
    async: (...args: [...Arguments, (error: Error | null, result: Result) => void]) => void;
  };
  return new Promise((resolve, reject) =>
    native.async(...args, (error, result) => (error ? reject(error) : resolve(result))),
  );
}

/**
 * An address as a number; user-space addresses are below 2^47 (with five-level paging below 2^56, and never by
 * default).
 */
export type Address = number;
type Bytes = NodeJS.TypedArray | null;

/** The libc functions that this package calls. They return -1 and set errno on failure. */
export interface Libc {
  close(fd: number): number;
  fcntl(fd: number, command: number, type: 'int', argument: number): number;
  getpagesize(): number;
  malloc_trim(pad: number): number;
  mmap(address: Address, length: number, protection: number, flags: number, fd: number, offset: number): Address;
  munmap(address: Address, length: number): number;
  mprotect(address: Address, length: number, protection: number): number;
  memcpy(destination: Bytes, source: Address, length: number): Address;
  strerror(errno: number): string;
  strnlen(text: Address, most: number): number;
  dup3(from: number, to: number, flags: number): number;
  pthread_self(): Address;
  /** On Linux, of the calling thread alone. */
  sigprocmask(how: number, signals: Bytes, previous: Bytes): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epollFd: number, operation: number, fd: number, event: Bytes): number;
  epoll_wait(epollFd: number, events: Bytes, maxEvents: number, timeoutMs: number): number;
  eventfd(initial: number, flags: number): number;
  read(fd: number, buffer: Bytes, length: number): number;
  write(fd: number, buffer: Bytes, length: number): number;
  socket(domain: number, type: number, protocol: number): number;
  send(fd: number, buffer: Bytes, length: number, flags: number): number;
  recv(fd: number, buffer: Bytes, length: number, flags: number): number;
  setsockopt(fd: number, level: number, option: number, value: Bytes, length: number): number;
  /** bpf(2), for which libc has no function. @param call {@link SYSCALL}.bpf */
  bpf(call: number, command: number, attributes: Bytes, size: number): number;
  /** perf_event_open(2), for which libc has no function. @param call {@link SYSCALL}.perf_event_open */
  perf_event_open(call: number, attributes: Bytes, pid: number, cpu: number, groupFd: number, flags: number): number;
}

/** Every errno of this machine, by number; of two names for one number, the first of the alphabet. */
export const errnoNames: ReadonlyMap<number, string> = new Map(
  Object.entries(koffi.os.errno)
    .sort(([one], [other]) => (one < other ? 1 : -1))
    .map(([name, number]) => [number, name]),
);

/** Numbers of system calls (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h). */
export const SYSCALL =
  process.arch === 'x64'
    ? ({ bpf: 321, perf_event_open: 298 } as const)
    : ({ bpf: 280, perf_event_open: 241 } as const);

let handle: LibraryHandle | undefined;

/** The C library: glibc by its name, another one, such as musl, as what the program itself is linked with. */
function openLibc(): LibraryHandle {
  if (handle) return handle;
  try {
    return (handle = koffi.load('libc.so.6'));
  } catch {
    return (handle = koffi.load(null));
  }
}

/** Address of a function of libc. */
export const libcSymbol = (name: string): bigint => BigInt(openLibc().symbol(name) as bigint);

export const libc: Libc = bindLazily<Libc>(openLibc, {
  close: 'int close(int fd)',
  fcntl: 'int fcntl(int fd, int command, ...)',
  getpagesize: 'int getpagesize(void)',
  malloc_trim: 'int malloc_trim(size_t pad)',
  mmap: 'intptr_t mmap(uintptr_t address, size_t length, int protection, int flags, int fd, int64_t offset)',
  munmap: 'int munmap(uintptr_t address, size_t length)',
  mprotect: 'int mprotect(uintptr_t address, size_t length, int protection)',
  memcpy: 'uintptr_t memcpy(void *destination, uintptr_t source, size_t length)',
  strerror: 'const char *strerror(int errno)',
  strnlen: 'size_t strnlen(uintptr_t text, size_t most)',
  dup3: 'int dup3(int from, int to, int flags)',
  pthread_self: 'uintptr_t pthread_self(void)',
  sigprocmask: 'int sigprocmask(int how, const void *signals, void *previous)',
  epoll_create1: 'int epoll_create1(int flags)',
  epoll_ctl: 'int epoll_ctl(int epfd, int op, int fd, void *event)',
  epoll_wait: 'int epoll_wait(int epfd, void *events, int maxevents, int timeout)',
  eventfd: 'int eventfd(unsigned int initval, int flags)',
  read: 'intptr_t read(int fd, void *buffer, size_t length)',
  write: 'intptr_t write(int fd, const void *buffer, size_t length)',
  socket: 'int socket(int domain, int type, int protocol)',
  send: 'intptr_t send(int fd, const void *buffer, size_t length, int flags)',
  recv: 'intptr_t recv(int fd, void *buffer, size_t length, int flags)',
  setsockopt: 'int setsockopt(int fd, int level, int option, const void *value, uint32_t length)',
  bpf: 'intptr_t syscall(intptr_t call, int command, void *attributes, uint32_t size)',
  perf_event_open: 'intptr_t syscall(intptr_t call, void *attributes, int pid, int cpu, int group, uintptr_t flags)',
});

/** errno of the last native call on this thread; read it before any other call. */
export function lastErrno(): number {
  return koffi.errno();
}

/**
 * Zeroed bytes whose address may be stored inside another C structure.
 *
 * V8 keeps small typed arrays on its moving heap; an array over an ArrayBuffer of its own is never moved.
 */
export function stableBytes(length: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(Math.max(length, 1)), 0, length);
}

/** A copy of `bytes` at a stable address. */
export function stableCopy(bytes: Uint8Array): Uint8Array {
  const copy = stableBytes(bytes.length);
  copy.set(bytes);
  return copy;
}

/** A NUL-terminated UTF-8 string at a stable address. */
export function stableString(text: string): Uint8Array {
  return stableCopy(Buffer.from(`${text}\0`, 'utf8'));
}

/** Address of the first byte; valid only as long as the caller keeps `bytes` reachable. */
export function addressOf(bytes: Uint8Array): Address {
  return Number(koffi.address(bytes));
}

/** A view of foreign memory. The buffer does not own it: nothing is freed when it is collected. */
export function viewMemory(address: Address, length: number): ArrayBuffer {
  return koffi.view(address, length);
}

/** Copies bytes out of foreign memory. */
export function copyMemory(address: Address, length: number): Uint8Array {
  return new Uint8Array(viewMemory(address, length)).slice();
}

/** Whether the CPU is little-endian, as on every platform that Node supports except s390x. */
export const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** A C structure at a fixed address in memory, accessed by offset in native byte order. */
export class CStruct {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #kept: (Uint8Array | CStruct)[] = [];

  /** @param size sizeof the structure; with `sized` it is also stored first, as libbpf's option structures require. */
  constructor(size: number, sized = false) {
    this.bytes = stableBytes(size);
    this.#view = new DataView(this.bytes.buffer);
    if (sized) this.setU64(0, size);
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset, littleEndian);
  }

  setU32(offset: number, value: number): this {
    this.#view.setUint32(offset, value, littleEndian);
    return this;
  }

  setU64(offset: number, value: number | bigint): this {
    this.#view.setBigUint64(offset, BigInt(value), littleEndian);
    return this;
  }

  /** Stores an address; bytes, a string or a structure are kept reachable as long as this structure is. */
  setPointer(offset: number, target: Uint8Array | string | CStruct | Address): this {
    if (typeof target === 'number') return this.setU64(offset, target);
    const bytes = typeof target === 'string' ? stableString(target) : target instanceof CStruct ? target.bytes : target;
    this.#kept.push(target instanceof CStruct ? target : bytes);
    return this.setU64(offset, addressOf(bytes));
  }

  /** The NUL-terminated string in a field of `length` bytes. */
  text(offset: number, length: number): string {
    const field = this.bytes.subarray(offset, offset + length);
    const end = field.indexOf(0);
    return Buffer.from(field.subarray(0, end < 0 ? length : end)).toString('utf8');
  }
}
