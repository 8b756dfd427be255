// SPDX-License-Identifier: MIT
/**
 * The log of faults: one line of JSON each. Everything but `time` is the same in each run with the same seed:
 * connections are named without the client's port, and TCP's numbers count from the beginning of the stream.
 *
 *   {"time":1764480000.123456,"rule":1,"connection":"udp 10.77.0.1 > 10.77.0.1:53 #1","from":"client","n":2,
 *    "frame":"udp 29 bytes","effect":"drop"}
 */
import { PROTOCOL, TCP_FLAG, TCP_HEADER_BYTES, UDP_HEADER_BYTES } from '../packet/headers';
import type { Connections } from './connections';
import type { Judged } from './matching';
import type { Side } from './rules';

/** One fault. */
export interface Fault {
  /** Seconds since 1970. */
  time: number;
  /** The rule's id. */
  rule: number;
  connection: string;
  from: Side;
  /**
   * The frame's number among the frames of the connection that the rule matches; 0 for a frame that it does not match.
   */
  n: number;
  frame: string;
  effect: string;
}

export type Logged = (fault: Fault) => void;

const MICROSECONDS = 1e6;

export const lineOf = ({ time, ...fault }: Fault): string =>
  JSON.stringify({ time: Math.round(time * MICROSECONDS) / MICROSECONDS, ...fault });

/** A frame in a few words: `tcp PSH ACK 100 bytes at 2896`. */
export function brief({ data, connection }: Judged, connections: Connections): string {
  const { ip, ipEnd, ipPayload, transport, protocol, fragment, fragmentOffset } = data.offsets();
  if (ip === 0) return `${data.length} bytes`;
  const part = fragment ? `, fragment at ${fragmentOffset}` : '';
  if (transport === 0) return `${ipEnd - ipPayload} bytes${part}`;
  if (protocol === PROTOCOL.udp) return `udp ${bytes(ipEnd - transport - UDP_HEADER_BYTES)}${part}`;
  if (protocol !== PROTOCOL.tcp) return `icmp type ${data.u8(transport)} code ${data.u8(transport + 1)}${part}`;
  const flags = data.u8(transport + 13);
  const header = Math.max(TCP_HEADER_BYTES, (data.u8(transport + 12) >>> 4) * 4);
  const length = Math.max(0, ipEnd - transport - header);
  const at =
    length === 0
      ? ''
      : ` ${bytes(length)} at ${connections.positionOf(connection, (data.u32(transport + 4) + (flags & TCP_FLAG.syn ? 1 : 0)) >>> 0)}`;
  return `tcp${namesOf(flags)}${at}${part}`;
}

const bytes = (count: number): string => (count === 1 ? '1 byte' : `${count} bytes`);

const namesOf = (flags: number): string =>
  Object.entries(TCP_FLAG)
    .map(([name, bit]) => ((flags & bit) !== 0 ? ` ${name.toUpperCase()}` : ''))
    .join('');
