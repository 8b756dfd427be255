// SPDX-License-Identifier: MIT
/**
 * The address that metrics are served on, and the host names that the server accepts. The server listens on an address,
 * never on a name, because what a name resolves to may change.
 */
import * as net from 'node:net';
import * as os from 'node:os';

import { usageError, VnetError } from '../errors';
import { onCommandLine, type Place } from '../options/values';

export interface ListenAddress {
  host: string;
  /** 0: any free port. */
  port: number;
  /** Host names that scrapers may use, besides those that are always allowed. */
  names: readonly string[];
}

type HostAndPort = Pick<ListenAddress, 'host' | 'port'>;

const NAME = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/;

/** Parses 127.0.0.1:9100 or [::1]:9100, optionally followed by names: 192.0.2.7:9100,web1.example.com. */
export function parseListenAddress(text: string, { what }: Place = onCommandLine('metrics', text)): ListenAddress {
  const hint = 'an address of this machine and a port: 127.0.0.1:9100 or [::1]:9100; port 0 takes any free port';
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
      'after the port come the host names by which it is asked: 192.0.2.7:9100,web1.example.com',
    );
  return { host, port, names };
}

/** The address as written in a URL. */
export const addressText = ({ host, port }: HostAndPort): string => `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;

const WILDCARDS = ['0.0.0.0', '[::]'];

/** Whether a server at `url` occupies the address. */
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

export const isLoopback = (host: string): boolean => host === '::1' || (net.isIPv4(host) && host.startsWith('127.'));

/**
 * Whether a Host header names this server. With DNS rebinding, the header has the name of the attacking web page; an
 * address in the header was typed by a user.
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

/** The error for an address that `option` names and that cannot be listened on. */
export function cannotListen(option: string, address: HostAndPort, error: NodeJS.ErrnoException): VnetError {
  const [why, hint] = REASONS[error.code ?? ''] ?? [error.message, 'give another address or port'];
  return new VnetError('BUSY', `--${option} ${addressText(address)}`, why, { hint, cause: error });
}

const REASONS: Readonly<Record<string, [string, string]>> = {
  EADDRINUSE: ['the port is in use', 'give another port; 0 takes any that is free'],
  EADDRNOTAVAIL: [
    'this network namespace has no such address',
    'ip addr shows those that it has; lo has to be up for 127.0.0.1 and ::1',
  ],
  EACCES: ['this process may not listen there', 'ports below 1024 need CAP_NET_BIND_SERVICE'],
};
