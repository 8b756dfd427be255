// SPDX-License-Identifier: MIT
/** The fields of a frame that a debugger can give another value, a row each. The caller fixes the checksums. */
import { didYouMean, usageError } from '../errors';
import { ipv4Bytes, ipv4Text, ipv6Bytes, ipv6Text, macBytes, macText } from './addresses';
import { ETH_HEADER_BYTES, HeaderOffsets, PROTOCOL, TCP_FLAG } from './headers';

/** What a field holds. */
interface Kind {
  bytes: number;
  /** The values that it takes, for an error. */
  takes: string;
  show: (frame: Uint8Array, at: number) => string;
  /** The bytes of a value; null if the text is none. May throw a RangeError instead. */
  read: (text: string) => Uint8Array | null;
}

const numberAt = (frame: Uint8Array, at: number, bytes: number): number =>
  frame.subarray(at, at + bytes).reduce((value, byte) => value * 256 + byte, 0);

function numbers(bytes: number): Kind {
  const max = 256 ** bytes - 1;
  return {
    bytes,
    takes: `a whole number from 0 to ${max}, in decimal, or in hexadecimal with 0x`,
    show: (frame, at) => String(numberAt(frame, at, bytes)),
    read: (text) => {
      const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Infinity;
      return value > max ? null : Uint8Array.from({ length: bytes }, (_, i) => (value / 256 ** (bytes - 1 - i)) & 0xff);
    },
  };
}

const U8 = numbers(1);
const U16 = numbers(2);
const U32 = numbers(4);
const MAC: Kind = { bytes: 6, takes: 'an Ethernet address such as 02:00:00:00:00:01', show: macText, read: macBytes };
const IPV4: Kind = { bytes: 4, takes: 'an IPv4 address such as 10.77.0.1', show: ipv4Text, read: ipv4Bytes };
const IPV6: Kind = { bytes: 16, takes: 'an IPv6 address such as fd00::1', show: ipv6Text, read: ipv6Bytes };

const FLAG_NAMES = Object.keys(TCP_FLAG) as (keyof typeof TCP_FLAG)[];
const NONE = 'none';
const FLAGS: Kind = {
  bytes: 1,
  takes: `flags such as SYN ACK, of ${FLAG_NAMES.join(', ').toUpperCase()}, or ${NONE}`,
  show: (frame, at) =>
    FLAG_NAMES.filter((name) => ((frame[at] as number) & TCP_FLAG[name]) !== 0)
      .join(' ')
      .toUpperCase() || NONE,
  read: (text) => {
    const words = text.toLowerCase().split(/[\s,]+/);
    const names = FLAG_NAMES.filter((name) => words.includes(name));
    const known = words.every((word) => word === NONE || names.some((name) => name === word));
    return known ? Uint8Array.of(names.reduce((bits, name) => bits | TCP_FLAG[name], 0)) : null;
  },
};

interface Place {
  at: number;
  kind: Kind;
}

type Find = (headers: HeaderOffsets, frame: Uint8Array) => Place | null;

const inEthernet =
  (at: number): Find =>
  ({ payload }) =>
    payload >= ETH_HEADER_BYTES ? { at, kind: MAC } : null;

const inIp =
  (v4: Place, v6: Place): Find =>
  (headers) => {
    if (headers.ip === 0) return null;
    const { at, kind } = headers.v6 ? v6 : v4;
    return { at: headers.ip + at, kind };
  };

const inTransport =
  (at: number, kind: Kind, ...protocols: number[]): Find =>
  ({ transport, protocol }) =>
    transport > 0 && protocols.includes(protocol) ? { at: transport + at, kind } : null;

const { tcp, udp, icmp, icmpv6 } = PROTOCOL;
/** Types of ICMP and ICMPv6 that have an identifier and a sequence number. */
const ECHO: Readonly<Record<number, readonly number[]>> = { [icmp]: [0, 8], [icmpv6]: [128, 129] };

const inEcho =
  (at: number): Find =>
  ({ transport, protocol }, frame) =>
    transport > 0 && ECHO[protocol]?.includes(frame[transport] as number) ? { at: transport + at, kind: U16 } : null;

const either =
  (...finds: Find[]): Find =>
  (headers, frame) => {
    for (const find of finds) {
      const place = find(headers, frame);
      if (place) return place;
    }
    return null;
  };

const FIELDS: Readonly<Record<string, Find>> = {
  'mac-destination': inEthernet(0),
  'mac-source': inEthernet(6),
  ttl: inIp({ at: 8, kind: U8 }, { at: 7, kind: U8 }),
  source: inIp({ at: 12, kind: IPV4 }, { at: 8, kind: IPV6 }),
  destination: inIp({ at: 16, kind: IPV4 }, { at: 24, kind: IPV6 }),
  'source-port': inTransport(0, U16, tcp, udp),
  'destination-port': inTransport(2, U16, tcp, udp),
  type: inTransport(0, U8, icmp, icmpv6),
  code: inTransport(1, U8, icmp, icmpv6),
  identifier: inEcho(4),
  sequence: either(inTransport(4, U32, tcp), inEcho(6)),
  acknowledgment: inTransport(8, U32, tcp),
  flags: inTransport(13, FLAGS, tcp),
  window: inTransport(14, U16, tcp),
};

const FIELD_NAMES: readonly string[] = Object.keys(FIELDS);

/** A field that a frame has, and its bytes from `from` up to and without `to`. */
export interface EditableField {
  name: string;
  value: string;
  from: number;
  to: number;
}

/** The fields of a frame that editField() changes. */
export function editableFields(frame: Uint8Array): EditableField[] {
  const headers = new HeaderOffsets().find(frame, 0, frame.length);
  return Object.entries(FIELDS).flatMap(([name, find]) => {
    const place = find(headers, frame);
    if (place === null) return [];
    const { at, kind } = place;
    return [{ name, value: kind.show(frame, at), from: at, to: at + kind.bytes }];
  });
}

/** Gives a field another value, in place. Throws USAGE if the frame does not have it, or if the text is no value. */
export function editField(frame: Uint8Array, name: string, text: string): void {
  const find = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
  if (!find)
    throw usageError(`"${name}"`, 'is no field', didYouMean(name, FIELD_NAMES, `fields: ${FIELD_NAMES.join(', ')}`));
  const place = find(new HeaderOffsets().find(frame, 0, frame.length), frame);
  if (!place) {
    const names = editableFields(frame).map((field) => field.name);
    throw usageError(`field ${name}`, 'the frame does not have it', `it has ${names.join(', ') || 'none'}`);
  }
  frame.set(bytesOf(place.kind, name, text.trim()), place.at);
}

function bytesOf(kind: Kind, name: string, text: string): Uint8Array {
  let bytes: Uint8Array | null = null;
  try {
    bytes = kind.read(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  if (bytes === null) throw usageError(`${name} "${text}"`, 'is no value of this field', `it takes ${kind.takes}`);
  return bytes;
}
