// SPDX-License-Identifier: MIT
/**
 * rtnetlink: asks the kernel about links, addresses, routes, rules and qdiscs, and makes the changes that every attach
 * and detach needs. Each takes one message and its answer, while starting `ip` takes 16 ms; rare changes are left to
 * iproute2. Requests go to the network namespace in which the socket was opened.
 */
import * as fs from 'node:fs';

import { errnoOf, openSocket, receiveBytes, sendBytes, setSocketOption, SystemError } from '../native/libc';
import { ipv4Bytes, ipv4Text, ipv6Bytes, ipv6Text } from '../packet/addresses';

// Building messages: structures and attributes, each padded to four bytes.

const concat = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));

/** The body of a message: the structure of its kind, then attributes. */
export const message = (...parts: readonly Uint8Array[]): Uint8Array => concat(parts);

/** An attribute: struct rtattr, then a value or other attributes. */
export function attribute(type: number, ...content: readonly Uint8Array[]): Uint8Array {
  const length = 4 + content.reduce((sum, { length }) => sum + length, 0);
  const header = new Uint8Array(4);
  new DataView(header.buffer).setUint16(0, length, true);
  new DataView(header.buffer).setUint16(2, type, true);
  return concat([header, ...content, new Uint8Array(-length & 3)]);
}

/** An attribute that holds text, with its terminating zero. */
export const textAttribute = (type: number, text: string): Uint8Array => attribute(type, Buffer.from(`${text}\0`));

/** An attribute that holds a u32, or an int. */
export function numberAttribute(type: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value >>> 0, true);
  return attribute(type, bytes);
}

/** Makes a change that the kernel may refuse because the object is gone, or exists, already. Ignores a SystemError. */
export function ifPossible(change: () => void): void {
  try {
    change();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}

// Exchanging messages with the kernel.

export const AF_NETLINK = 16;
export const AF_INET = 2;
export const AF_INET6 = 10;
const SOCK_RAW = 3;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
/** Makes the kernel go by what a dump asks for (Linux 4.20). */
const NETLINK_GET_STRICT_CHK = 12;
const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_DUMP = 0x300;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
/** struct nlmsghdr: length, type, flags, sequence number, port. */
const HEADER_BYTES = 16;
/** The most bytes that the kernel puts into one datagram of a dump (netlink_recvmsg in net/netlink/af_netlink.c). */
const BUFFER_BYTES = 32768;
/** What is received, until it has been copied. With a buffer each, the looks at links would fill the heap with garbage. */
const received = new Uint8Array(BUFFER_BYTES);
/** How often a list is read that changes while it is read. */
const TRIES = 10;

const aligned = (bytes: number): number => (bytes + 3) & ~3;

/** Opens an rtnetlink socket in the calling thread's namespace; the caller closes the descriptor. */
export const openRtnetlink = (): number => openSocket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

/** The answer to a request about one object: what follows the nlmsghdr. Throws SystemError. */
export function askOne(socket: number, type: number, body: Uint8Array): DataView {
  const answer = exchange(socket, type, 0, body).messages[0];
  if (!answer) throw new SystemError('rtnetlink', errnoOf['ENODATA'] as number);
  return answer;
}

/** Makes a change in the calling thread's namespace; `flags` such as NLM_F_CREATE. Throws SystemError. */
export function change(type: number, body: Uint8Array, flags = 0): void {
  const socket = openRtnetlink();
  try {
    exchange(socket, type, NLM_F_ACK | flags, body);
  } finally {
    fs.closeSync(socket);
  }
}

/**
 * Every object of a kind in the calling thread's namespace; with `strict`, only those that `body` asks for. Throws
 * SystemError.
 */
export function askAll(type: number, body: Uint8Array, strict = false): DataView[] {
  const socket = openRtnetlink();
  try {
    if (strict) setSocketOption(socket, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    for (let tries = 1; ; tries++) {
      const { messages, changed } = exchange(socket, type, NLM_F_DUMP, body);
      if (!changed || tries === TRIES) return messages;
    }
  } finally {
    fs.closeSync(socket);
  }
}

function exchange(
  socket: number,
  type: number,
  flags: number,
  body: Uint8Array,
): { messages: DataView[]; changed: boolean } {
  const request = new DataView(new ArrayBuffer(aligned(HEADER_BYTES + body.length)));
  request.setUint32(0, request.byteLength, true);
  request.setUint16(4, type, true);
  request.setUint16(6, NLM_F_REQUEST | flags, true);
  const bytes = new Uint8Array(request.buffer);
  bytes.set(body, HEADER_BYTES);
  const sent = sendBytes(socket, bytes);
  if (sent < 0) throw new SystemError('rtnetlink', -sent);
  const messages: DataView[] = [];
  let changed = false;
  for (;;) {
    // The kernel answers inside send() and recv(): there is nothing to wait for.
    const count = receiveBytes(socket, received);
    if (count < 0) throw new SystemError('rtnetlink', -count);
    const { buffer } = received.slice(0, count);
    for (let at = 0; at + HEADER_BYTES <= count;) {
      const view = new DataView(buffer, at);
      const length = Math.max(HEADER_BYTES, view.getUint32(0, true));
      const kind = view.getUint16(4, true);
      changed ||= (view.getUint16(6, true) & NLM_F_DUMP_INTR) !== 0;
      const content = new DataView(buffer, at + HEADER_BYTES, Math.min(length, count - at) - HEADER_BYTES);
      const error = kind === NLMSG_ERROR ? -content.getInt32(0, true) : 0;
      if (error !== 0) throw new SystemError('rtnetlink', error);
      if (kind === NLMSG_ERROR) return { messages, changed }; // an acknowledgement
      if (kind === NLMSG_DONE) return { messages, changed };
      messages.push(content);
      at += aligned(length);
    }
    if ((flags & NLM_F_DUMP) === 0) return { messages, changed };
  }
}

/** The attributes of a message, by type; they begin at `from`, after the header of its kind. */
export function attributesOf(message: DataView, from: number): Map<number, DataView> {
  const found = new Map<number, DataView>();
  for (let at = from; at + 4 <= message.byteLength;) {
    const length = message.getUint16(at, true);
    // The two upper bits are flags: nested, and in network byte order.
    found.set(
      message.getUint16(at + 2, true) & 0x3fff,
      new DataView(message.buffer, message.byteOffset + at + 4, Math.max(0, length - 4)),
    );
    at += Math.max(4, aligned(length));
  }
  return found;
}

/** The text of an attribute, without its terminating zero. */
export function textOf(attribute: DataView | undefined): string | undefined {
  if (!attribute) return undefined;
  const bytes = bytesOf(attribute);
  return Buffer.from(bytes.subarray(0, bytes.indexOf(0) >>> 0)).toString();
}

/** The text of an attribute that holds an IPv4 or IPv6 address. */
export const ipTextOf = (attribute: DataView): string =>
  (attribute.byteLength === 4 ? ipv4Text : ipv6Text)(bytesOf(attribute), 0);

export const familyOf = (family: 4 | 6): number => (family === 4 ? AF_INET : AF_INET6);

/** An address as an attribute holds it. */
export const ipBytes = (family: 4 | 6, address: string): Uint8Array => (family === 4 ? ipv4Bytes : ipv6Bytes)(address);

/** The bytes of an attribute, not copied. */
export const bytesOf = (attribute: DataView): Uint8Array =>
  new Uint8Array(attribute.buffer, attribute.byteOffset, attribute.byteLength);
