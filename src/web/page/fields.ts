// SPDX-License-Identifier: MIT
/**
 * Decodes the headers of a frame into fields, each with its bytes. A header is described once, by a table of its fields
 * in the order of the wire; everything else follows from the table.
 */
import { ipv4Text, ipv6Text, macText } from '../../packet/addresses';
import { ARP_BYTES, ETHER_TYPE, EXTENSION, IPV6_HEADER_BYTES, PROTOCOL, TCP_FLAG } from '../../packet/headers';

export interface Field {
  name: string;
  value: string;
  /** Its bytes in the frame, from `from` up to and without `to`. */
  from: number;
  to: number;
}

export interface DecodedHeader {
  name: string;
  from: number;
  to: number;
  fields: Field[];
}

/** Shows a field. `value` is its number; `bytes` and `at` are for those that are longer than 32 bits. */
type Show = (value: number, bytes: Uint8Array, at: number) => string;

interface Row {
  name: string;
  bits: number;
  show: Show;
}

interface Header {
  name: string;
  rows: readonly Row[];
  /** Bytes of the header with its options, which follow the rows. */
  bytes?: (bytes: Uint8Array, at: number) => number;
  /** Bytes of the header and of all that it carries: what follows them is padding. 0 if it does not say. */
  carried?: (bytes: Uint8Array, at: number) => number;
  /** What follows it, from `end` on; null if that is payload. */
  next?: (bytes: Uint8Array, at: number, end: number) => Header | null;
}

const decimal: Show = (value) => String(value);
const hex =
  (digits: number): Show =>
  (value) =>
    `0x${value.toString(16).padStart(digits, '0')}`;
const mac: Show = (_, bytes, at) => macText(bytes, at);
const ipv4: Show = (_, bytes, at) => ipv4Text(bytes, at);
const ipv6: Show = (_, bytes, at) => ipv6Text(bytes, at);
const words =
  (unit: number): Show =>
  (value) =>
    `${value} (${value * unit} bytes)`;

/** A number and what it means, from a table of names by number. */
const named =
  (names: Readonly<Record<number, string>>, number: Show = decimal): Show =>
  (...field) => {
    const name = names[field[0]];
    return name === undefined ? number(...field) : `${number(...field)} (${name})`;
  };

/** The names of the bits that are set. */
const flags =
  (names: Readonly<Record<string, number>>): Show =>
  (value) =>
    Object.entries(names)
      .filter(([, bit]) => (value & bit) !== 0)
      .map(([name]) => name.toUpperCase())
      .join(', ') || 'none';

const row = (name: string, bits: number, show: Show = decimal): Row => ({ name, bits, show });
const word = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);

const PROTOCOL_NAMES = {
  [PROTOCOL.icmp]: 'ICMP',
  [PROTOCOL.tcp]: 'TCP',
  [PROTOCOL.udp]: 'UDP',
  [PROTOCOL.icmpv6]: 'ICMPv6',
  [EXTENSION.hopByHop]: 'hop-by-hop options',
  [EXTENSION.routing]: 'routing',
  [EXTENSION.fragment]: 'fragment',
  [EXTENSION.destination]: 'destination options',
};
const ETHER_TYPES = {
  [ETHER_TYPE.ipv4]: 'IPv4',
  [ETHER_TYPE.arp]: 'ARP',
  [ETHER_TYPE.vlan]: 'VLAN',
  [ETHER_TYPE.qinq]: 'VLAN of a provider',
  [ETHER_TYPE.ipv6]: 'IPv6',
};
const etherType = named(ETHER_TYPES, hex(4));
const ECN = named({ 0: 'not ECN-capable', 1: 'ECT(1)', 2: 'ECT(0)', 3: 'congestion experienced' });

const afterEtherType = (bytes: Uint8Array, at: number): Header | null => {
  const type = word(bytes, at);
  if (type === ETHER_TYPE.vlan || type === ETHER_TYPE.qinq) return VLAN;
  if (type === ETHER_TYPE.arp) return ARP;
  if (type === ETHER_TYPE.ipv4) return IPV4;
  return type === ETHER_TYPE.ipv6 ? IPV6 : null;
};

/** The header of a protocol; `type` is its first byte. */
function afterProtocol(protocol: number, type: number): Header | null {
  switch (protocol) {
    case PROTOCOL.icmp:
      return ICMP(type);
    case PROTOCOL.icmpv6:
      return ICMPV6(type);
    case PROTOCOL.udp:
      return UDP;
    case PROTOCOL.tcp:
      return TCP;
    case EXTENSION.fragment:
      return FRAGMENT;
    case EXTENSION.hopByHop:
    case EXTENSION.routing:
    case EXTENSION.destination:
      return EXTENSION_HEADER;
    default:
      return null;
  }
}

const ETHERNET: Header = {
  name: 'Ethernet',
  rows: [row('Destination', 48, mac), row('Source', 48, mac), row('Type', 16, etherType)],
  next: (bytes, at) => afterEtherType(bytes, at + 12),
};

const VLAN: Header = {
  name: 'VLAN tag',
  rows: [row('Priority', 3), row('Drop eligible', 1), row('VLAN', 12), row('Type', 16, etherType)],
  next: (bytes, at) => afterEtherType(bytes, at + 2),
};

const ARP: Header = {
  name: 'ARP',
  rows: [
    row('Hardware type', 16, named({ 1: 'Ethernet' })),
    row('Protocol type', 16, etherType),
    row('Hardware length', 8),
    row('Protocol length', 8),
    row('Operation', 16, named({ 1: 'request', 2: 'reply' })),
    row('Sender MAC', 48, mac),
    row('Sender IP', 32, ipv4),
    row('Target MAC', 48, mac),
    row('Target IP', 32, ipv4),
  ],
  carried: () => ARP_BYTES,
};

const IPV4: Header = {
  name: 'IPv4',
  rows: [
    row('Version', 4),
    row('Header length', 4, words(4)),
    row('DSCP', 6),
    row('ECN', 2, ECN),
    row('Total length', 16),
    row('Identification', 16, hex(4)),
    row('Flags', 3, flags({ 'more fragments': 1, "don't fragment": 2 })),
    row('Fragment offset', 13, words(8)),
    row('Time to live', 8),
    row('Protocol', 8, named(PROTOCOL_NAMES)),
    row('Header checksum', 16, hex(4)),
    row('Source', 32, ipv4),
    row('Destination', 32, ipv4),
  ],
  bytes: (bytes, at) => ((bytes[at] ?? 0) & 15) * 4,
  carried: (bytes, at) => word(bytes, at + 2),
  // A later fragment begins with the middle of the payload.
  next: (bytes, at, end) =>
    (word(bytes, at + 6) & 0x1fff) === 0 ? afterProtocol(bytes[at + 9] ?? 0xff, bytes[end] ?? 0xff) : null,
};

const IPV6: Header = {
  name: 'IPv6',
  rows: [
    row('Version', 4),
    row('DSCP', 6),
    row('ECN', 2, ECN),
    row('Flow label', 20, hex(5)),
    row('Payload length', 16),
    row('Next header', 8, named(PROTOCOL_NAMES)),
    row('Hop limit', 8),
    row('Source', 128, ipv6),
    row('Destination', 128, ipv6),
  ],
  carried: (bytes, at) => word(bytes, at + 4) && IPV6_HEADER_BYTES + word(bytes, at + 4),
  next: (bytes, at, end) => afterProtocol(bytes[at + 6] ?? 0xff, bytes[end] ?? 0xff),
};

const EXTENSION_HEADER: Header = {
  name: 'IPv6 extension',
  rows: [
    row('Next header', 8, named(PROTOCOL_NAMES)),
    row('Length', 8, (value) => `${value} (${value * 8 + 8} bytes)`),
  ],
  bytes: (bytes, at) => ((bytes[at + 1] ?? 0) + 1) * 8,
  next: (bytes, at, end) => afterProtocol(bytes[at] ?? 0xff, bytes[end] ?? 0xff),
};

const FRAGMENT: Header = {
  name: 'IPv6 fragment',
  rows: [
    row('Next header', 8, named(PROTOCOL_NAMES)),
    row('Reserved', 8),
    row('Fragment offset', 13, words(8)),
    row('Reserved', 2),
    row('More fragments', 1),
    row('Identification', 32, hex(8)),
  ],
  next: (bytes, at, end) =>
    word(bytes, at + 2) >>> 3 === 0 ? afterProtocol(bytes[at] ?? 0xff, bytes[end] ?? 0xff) : null,
};

/** Echo messages have an identifier and a number where others have something of their own. */
const icmp = (name: string, types: Readonly<Record<number, string>>): ((type: number) => Header) => {
  const common = [row('Type', 8, named(types)), row('Code', 8), row('Checksum', 16, hex(4))];
  const echo = { name, rows: [...common, row('Identifier', 16), row('Sequence number', 16)] };
  const other = { name, rows: [...common, row('Rest of header', 32, hex(8))] };
  return (type) => (types[type]?.startsWith('echo') ? echo : other);
};
const ICMP = icmp('ICMP', {
  0: 'echo reply', 3: 'destination unreachable', 5: 'redirect', 8: 'echo request', 11: 'time exceeded',
}); // prettier-ignore
const ICMPV6 = icmp('ICMPv6', {
  1: 'destination unreachable', 2: 'packet too big', 3: 'time exceeded', 128: 'echo request', 129: 'echo reply',
  133: 'router solicitation', 134: 'router advertisement', 135: 'neighbour solicitation', 136: 'neighbour advertisement',
  143: 'multicast listener report',
}); // prettier-ignore

const UDP: Header = {
  name: 'UDP',
  rows: [row('Source port', 16), row('Destination port', 16), row('Length', 16), row('Checksum', 16, hex(4))],
};

const TCP: Header = {
  name: 'TCP',
  rows: [
    row('Source port', 16),
    row('Destination port', 16),
    row('Sequence number', 32),
    row('Acknowledgment number', 32),
    row('Data offset', 4, words(4)),
    row('Reserved', 4),
    row('Flags', 8, flags(TCP_FLAG)),
    row('Window', 16),
    row('Checksum', 16, hex(4)),
    row('Urgent pointer', 16),
  ],
  bytes: (bytes, at) => ((bytes[at + 12] ?? 0) >>> 4) * 4,
};

/** Up to 32 bits, the most significant first, as everything on the wire; 0 for more. */
function numberAt(bytes: Uint8Array, bit: number, bits: number): number {
  if (bits > 32) return 0;
  let value = 0;
  for (let i = bit; i < bit + bits; i++) value = value * 2 + (((bytes[i >>> 3] ?? 0) >>> (7 - (i & 7))) & 1);
  return value;
}

/** The fields of a header that are there completely, and where its last one ends. */
function fieldsAt(rows: readonly Row[], bytes: Uint8Array, at: number): { fields: Field[]; end: number } {
  const fields: Field[] = [];
  let bit = at * 8;
  let end = at;
  for (const { name, bits, show } of rows) {
    const [from, to] = [bit >>> 3, (bit + bits + 7) >>> 3];
    if (to > bytes.length) break;
    fields.push({ name, value: show(numberAt(bytes, bit, bits), bytes, from), from, to });
    bit += bits;
    end = to;
  }
  return { fields, end };
}

/**
 * The headers of a frame, from the outermost, and what is left as payload. `frame` may be only its beginning; a header
 * that is not complete has the fields that are.
 */
export function decode(frame: Uint8Array): DecodedHeader[] {
  const headers: DecodedHeader[] = [];
  let bytes = frame;
  let at = 0;
  for (let header: Header | null = ETHERNET; header && at < bytes.length;) {
    const { name, rows }: Header = header;
    const { fields, end } = fieldsAt(rows, bytes, at);
    const whole: boolean = fields.length === rows.length;
    // A length that is too small to be true is not followed.
    const to: number = whole
      ? Math.min(bytes.length, Math.max(end, at + (header.bytes?.(bytes, at) ?? 0)))
      : bytes.length;
    if (whole && to > end) fields.push({ name: 'Options', value: `${to - end} bytes`, from: end, to });
    headers.push({ name, from: at, to, fields });
    const carried: number = (whole && header.carried?.(bytes, at)) || 0;
    if (carried > 0) bytes = bytes.subarray(0, Math.max(to, at + carried));
    header = (whole && header.next?.(bytes, at, to)) || null;
    at = to;
  }
  if (at < bytes.length) headers.push(rest('Payload', at, bytes.length));
  if (bytes.length < frame.length) headers.push(rest('Padding', bytes.length, frame.length));
  return headers;
}

const rest = (name: string, from: number, to: number): DecodedHeader => ({
  name,
  from,
  to,
  fields: [{ name: 'Bytes', value: String(to - from), from, to }],
});

/** A byte as two hexadecimal digits. */
export const hexOf = (byte: number): string => byte.toString(16).padStart(2, '0');

/** The bytes of a text in base64; none if it is not valid. */
export function bytesOf(base64: string): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  } catch {
    return new Uint8Array(0);
  }
}
