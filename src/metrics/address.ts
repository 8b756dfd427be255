// SPDX-License-Identifier: MIT
/**
 * The address where metrics are served, and the names of that server. Only an address can be listened on, because what
 * a name means may change.
 */
import * as net from 'node:net';
import * as os from 'node:os';

import { usageError } from '../errors';
import { onCommandLine, type Place } from '../options/values';

export interface ListenAddress {
  host: string;
  /** 0: any free port. */
  port: number;
  /** Names that scrapers may use, besides those that are always allowed. */
  names: readonly string[];
}

type HostAndPort = Pick<ListenAddress, 'host' | 'port'>;

const NAME = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/;

/** Parses 127.0.0.1:9100 or [::1]:9100, also with names behind it: 192.0.2.7:9100,web1.example.com. */
export function parseListenAddress(text: string, { what }: Place = onCommandLine('metrics', text)): ListenAddress {
  const hint = 'an address of this machine and a port: 127.0.0.1:9100 or [::1]:9100; port 0 takes any that is free';
  const [place = '', ...given] = text.split(',');
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d*)$/.exec(place);
  if (!match) throw usageError(what, 'is not an address and a port', hint);
  const [, v6, v4, digits] = match as unknown as [string, string | undefined, string | undefined, string];
  const host = v6 ?? v4 ?? '';
  if (host === '') throw usageError(what, 'names no address', hint);
  if (net.isIP(host) !== (v6 === undefined ? 4 : 6) || host.includes('%'))
    throw usageError(what, `"${host}" is not an address`, hint);
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : NaN;
  if (!(port <= 65535)) throw usageError(what, 'has a port that is not a number from 0 to 65535', hint);
  const names = given.map((name) => name.toLowerCase());
  const odd = names.find((name) => !NAME.test(name) || net.isIP(name) !== 0);
  if (odd !== undefined)
    throw usageError(
      what,
      `"${odd}" is not a name`,
      'behind the port come the names by which Prometheus asks: 192.0.2.7:9100,web1.example.com',
    );
  return { host, port, names };
}

/** The address as written in a URL. */
export const addressText = ({ host, port }: HostAndPort): string => `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;

const WILDCARDS = ['0.0.0.0', '[::]'];

/** Whether a server at that URL occupies that address. */
export function servedAt(url: string, { host, port }: HostAndPort): boolean {
  const { hostname, port: taken } = new URL(url);
  const wanted = new URL(`http://${addressText({ host, port })}`).hostname;
  const sameFamily = hostname.startsWith('[') === wanted.startsWith('[');
  return (
    Number(taken || 80) === port &&
    sameFamily &&
    (hostname === wanted || [hostname, wanted].some((each) => WILDCARDS.includes(each)))
  );
}

const isLoopback = (host: string): boolean => host === '::1' || (net.isIPv4(host) && host.startsWith('127.'));

/**
 * Whether a Host header names this server. A web page whose name was redirected here (DNS rebinding) gives itself away
 * by that name; an address in the header was typed by a user.
 */
export function isNamedBy({ host, names }: ListenAddress, header: string): boolean {
  const match = /^(?:\[([\da-f:.]+)\]|([^:[\]]+?)\.?)(?::\d{1,5})?$/i.exec(header);
  const asked = (match?.[1] ?? match?.[2] ?? '').toLowerCase();
  if (net.isIP(asked) !== 0) return !isLoopback(host) || isLoopback(asked);
  if (names.includes(asked)) return true;
  const any = host === '0.0.0.0' || host === '::';
  if (asked === 'localhost') return any || isLoopback(host);
  return !isLoopback(host) && asked === os.hostname().toLowerCase();
}
