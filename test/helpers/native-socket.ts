// SPDX-License-Identifier: MIT
/**
 * Socket calls that Node lacks, for tests: raw frames, ancillary data, many messages per call. Addresses are numbers,
 * because the memory is set up once (see messages.ts).
 */
import { Netns } from '../../src/link/netns';

// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
// eslint-disable-next-line @typescript-eslint/no-require-imports
const koffi = require('koffi') as Koffi;

type Native = (...args: (number | Uint8Array | null)[]) => number;

const libc = koffi.load('libc.so.6');
const declare = (prototype: string): Native => libc.func(prototype) as unknown as Native;

const c = {
  socket: declare('int socket(int domain, int type, int protocol)'),
  setsockopt: declare('int setsockopt(int fd, int level, int name, const uint8_t *value, unsigned int length)'),
  bind: declare('int bind(int fd, const uint8_t *address, unsigned int length)'),
  connect: declare('int connect(int fd, const uint8_t *address, unsigned int length)'),
  sendmmsg: declare('int sendmmsg(int fd, uintptr_t messages, unsigned int count, int flags)'),
  recvmmsg: declare('int recvmmsg(int fd, uintptr_t messages, unsigned int count, int flags, uintptr_t timeout)'),
};

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_PACKET = 17;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;

export const SOL_IP = 0;
export const SOL_SOCKET = 1;
export const SOL_TCP = 6;
export const SOL_UDP = 17;
export const SOL_IPV6 = 41;
export const SOL_PACKET = 263;

export const SO_RCVTIMEO = 20;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_RXQ_OVFL = 40;

export const MSG_DONTWAIT = 0x40;
/** recvmmsg: wait for the first message only. */
export const MSG_WAITFORONE = 0x10000;

const errnoOf = koffi.os.errno as Readonly<Record<string, number>>;
export const ENOBUFS = errnoOf['ENOBUFS'] as number;
export const EAGAIN = errnoOf['EAGAIN'] as number;
export const EINTR = errnoOf['EINTR'] as number;
export const EMSGSIZE = errnoOf['EMSGSIZE'] as number;

/** The name of an errno value, such as `ENOBUFS`. */
export const errnoName = (errno: number): string =>
  Object.entries(errnoOf).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;

function check(operation: string, result: number): number {
  if (result < 0) throw new Error(`${operation}: ${errnoName(koffi.errno())}`);
  return result;
}

/** Opens a socket in a namespace (null: the thread's own), where it stays whichever thread uses it. */
export function openSocket(netns: string | null, domain: number, type: number, protocol: number): number {
  const open = (): number => check('socket', c.socket(domain, type | SOCK_CLOEXEC, protocol));
  if (netns === null) return open();
  using namespace = Netns.named(netns);
  return namespace.run(open);
}

/** Sets an option to an int or to the bytes of a struct. */
export function setOption(fd: number, level: number, name: number, value: number | Uint8Array): void {
  const bytes = typeof value === 'number' ? new Uint8Array(Int32Array.of(value).buffer) : value;
  check(`setsockopt(${level}, ${name})`, c.setsockopt(fd, level, name, bytes, bytes.length));
}

export function bind(fd: number, address: Uint8Array): void {
  check('bind', c.bind(fd, address, address.length));
}

export function connect(fd: number, address: Uint8Array): void {
  check('connect', c.connect(fd, address, address.length));
}

/** Returns the number of messages sent, or the negative errno of the first one. */
export function sendMessages(fd: number, messages: number, count: number, flags: number): number {
  const sent = c.sendmmsg(fd, messages, count, flags);
  return sent >= 0 ? sent : -koffi.errno();
}

/** Returns the number of messages received, or the negative errno. */
export function receiveMessages(fd: number, messages: number, count: number, flags: number): number {
  const received = c.recvmmsg(fd, messages, count, flags, 0);
  return received >= 0 ? received : -koffi.errno();
}

/** struct timeval for SO_RCVTIMEO. */
export function timeval(ms: number): Uint8Array {
  const seconds = Math.floor(ms / 1000);
  return new Uint8Array(BigInt64Array.of(BigInt(seconds), BigInt((ms - seconds * 1000) * 1000)).buffer);
}

/** struct sockaddr_in or sockaddr_in6. */
export function socketAddress(address: string, port: number): Uint8Array {
  const v6 = address.includes(':');
  const bytes = new DataView(new ArrayBuffer(v6 ? 28 : 16));
  bytes.setUint16(0, v6 ? AF_INET6 : AF_INET, true);
  bytes.setUint16(2, port);
  addressBytes(address).forEach((byte, i) => bytes.setUint8((v6 ? 8 : 4) + i, byte));
  return new Uint8Array(bytes.buffer);
}

/** 4 or 16 bytes of an address. */
export function addressBytes(address: string): number[] {
  if (!address.includes(':')) return address.split('.').map(Number);
  const [head, tail] = address.split('::') as [string, string | undefined];
  const groups = (text: string | undefined): number[] =>
    text ? text.split(':').map((group) => parseInt(group, 16)) : [];
  const [first, last] = [groups(head), groups(tail)];
  const all = [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
  return all.flatMap((group) => [group >>> 8, group & 0xff]);
}
