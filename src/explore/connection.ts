// SPDX-License-Identifier: MIT
/** A connection as the log of faults names it: the filter for its frames, and its name in a sentence. */

/** What the label of a connection says (src/faults/connections.ts). */
export interface Connection {
  /** `tcp`, `udp`, `icmp`, `icmpv6`, `arp`, `protocol 47` or `ethertype 0x88cc`. */
  protocol: string;
  /** Null for frames other than IP. */
  ends: { client: string; server: string; isV6: boolean } | null;
  /** The server's port; null if there is none, `*` if the kernel has picked it. */
  port: string | null;
  /** Its number among the connections with the same label. */
  number: number;
}

const LABEL =
  /^(?<protocol>\S+|protocol \d+|ethertype \S+)(?: (?<client>\[[^\]]+\]|[\d.]+) > (?<server>\[[^\]]+\]|[\d.]+)(?::(?<port>\d+|\*))?)? #(?<number>\d+)$/;

/** Reads a label. Throws a RangeError for what is none. */
export function connectionOf(label: string): Connection {
  const { protocol, client, server, port, number } = LABEL.exec(label)?.groups ?? {};
  if (protocol === undefined) throw new RangeError(`"${label}" is not the label of a connection`);
  const bare = (address: string): string => address.replace(/[[\]]/g, '');
  return {
    protocol,
    ends:
      client === undefined || server === undefined
        ? null
        : { client: bare(client), server: bare(server), isV6: client.startsWith('[') },
    port: port ?? null,
    number: Number(number),
  };
}

/** Ports that the kernel picks, as the range of a filter. */
const PICKED_PORTS = '32768-65535';

/** Protocols that a frame can have over the other version of IP, where the word for them matches nothing. */
const ODD: Readonly<Record<string, string>> = { 'icmp ip6': 'protocol 1', 'icmpv6 ip': 'protocol 58' };

/** The filter that the frames of such connections match, whatever their numbers. */
export function filterFor({ protocol, ends, port }: Connection): string {
  const family = ends?.isV6 ? 'ip6' : 'ip';
  const kind = (ODD[`${protocol} ${family}`] ?? protocol)
    .replace(/^icmpv6$/, 'icmp6')
    .replace(/^protocol /, `${family} proto `)
    .replace(/^ethertype /, 'ether proto ');
  if (ends === null) return kind;
  const { client, server } = ends;
  if (client === server) return [kind, `host ${client}`, ...portsOf(port)].join(' and ');
  const way = (from: string, to: string, side: string): string =>
    `(src host ${from} and dst host ${to}${port === null || port === '*' ? '' : ` and ${side} port ${port}`})`;
  const picked = port === '*' ? [...portsOf(port)] : [];
  return [kind, `(${way(client, server, 'dst')} or ${way(server, client, 'src')})`, ...picked].join(' and ');
}

function portsOf(port: string | null): string[] {
  if (port === null) return [];
  return port === '*' ? [`src portrange ${PICKED_PORTS}`, `dst portrange ${PICKED_PORTS}`] : [`port ${port}`];
}

const ORDINALS: Readonly<Record<string, string>> = { one: 'st', two: 'nd', few: 'rd', other: 'th' };
const rules = new Intl.PluralRules('en', { type: 'ordinal' });

/** 1st, 2nd, 3rd. */
export const ordinal = (n: number): string => `${n}${ORDINALS[rules.select(n)]}`;

/** Such as `the 1st connection to UDP 4433`. */
export function nameOf({ protocol, ends, port, number }: Connection): string {
  const kind = /^\w+$/.test(protocol) ? protocol.toUpperCase().replace('V6', 'v6') : protocol;
  if (ends === null) return kind;
  const { client, server, isV6 } = ends;
  const way = client === server ? '' : ` from ${client} to ${server}`;
  const family = isV6 && !protocol.endsWith('v6') ? ' over IPv6' : '';
  const to =
    port === null
      ? `${kind} connection`
      : `connection to ${port === '*' ? `a picked ${kind} port` : `${kind} ${port}`}`;
  return `the ${ordinal(number)} ${to}${family}${way}`;
}
