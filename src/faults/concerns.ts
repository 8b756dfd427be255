// SPDX-License-Identifier: MIT
/**
 * Tells from the bytes of a frame that no rule is about its connection. Such a frame passes without being looked at any
 * further, and its connection need not be known.
 *
 * A rule must see all frames of the connections that it is about, whether or not they match: the first frame says which
 * side is the client and when the connection began, and connections are numbered in their order. So what counts is not
 * the filter of a rule, but one that matches all frames of those connections:
 *
 *   tcp port 443                         the filter itself: ports and addresses without a direction
 *   tcp[tcpflags] & tcp-syn != 0         tcp: it matches nothing else, as libpcap says
 *   less 100                             none: it may be about any connection
 */
import { rejectsAll, parseFilter } from '../packet/filter';
import type { Match } from './rules';

/** Whether the frame in `memory[start, start + length)`, or one that it is cut into, may concern a rule. */
export type Concerns = (memory: Uint8Array, start: number, length: number) => boolean;

/**
 * Words of filters that do not tell the directions of a connection apart. A filter of only these words, numbers and
 * addresses matches whole connections if it looks at nothing but addresses, ports and protocols.
 */
const BOTH_WAYS =
  /^(?:\s|[()!]|&&|\|\||\b(?:and|or|not|ip|ip6|tcp|udp|icmp|icmp6|sctp|arp|port|portrange|host|net|mask)\b|\b[\da-f.:]+(?:[/-]\d+)?(?=[\s)]|$))*$/i;
const PROTOCOLS = ['tcp', 'udp', 'icmp', 'icmp6', 'arp'];

/** Filters that libpcap compiles as one; compiling takes longer than in proportion. */
const TOGETHER_MAX = 32;

/** Whether a filter certainly matches all frames of a connection, or none. */
export const isOfConnections = (filter: string): boolean =>
  BOTH_WAYS.test(filter) && parseFilter(filter).looksAtFlowOnly;

/** Null if a frame of any connection may concern one of the matches. */
export function concernsOf(matches: readonly Match[]): Concerns | null {
  const filters = new Set<string>();
  for (const match of matches.flatMap(withAfter)) {
    const filter = filterOfConnections(match);
    if (filter === null) return null;
    filters.add(filter);
  }
  const all = [...filters];
  const parts = Array.from({ length: Math.ceil(all.length / TOGETHER_MAX) }, (_, i) =>
    parseFilter(
      all
        .slice(i * TOGETHER_MAX, (i + 1) * TOGETHER_MAX)
        .map((filter) => `(${filter})`)
        .join(' or '),
    ).compiled(),
  );
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return (memory, start, length) => first(memory, start, length, length);
  return (memory, start, length) => {
    for (let i = 0; i < parts.length; i++)
      if ((parts[i] as (typeof parts)[0])(memory, start, length, length)) return true;
    return false;
  };
}

const withAfter = (match: Match): Match[] => (match.after === undefined ? [match] : [match, ...withAfter(match.after)]);

/** The filter of all frames of the connections that a match may be about; null if these may be any. */
function filterOfConnections({ filter }: Match): string | null {
  if (filter === undefined) return null;
  if (isOfConnections(filter)) return filter;
  // The protocol first: words such as `vlan` change what later words mean.
  return PROTOCOLS.find((protocol) => rejectsAll(`not ${protocol} and (${filter})`)) ?? null;
}
