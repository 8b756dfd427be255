// SPDX-License-Identifier: MIT
/** Where metrics are served. Only an address is understood, no name: what a name means may change. */
import * as net from 'node:net';

import { usageError } from '../errors';

export interface ListenAddress {
  host: string;
  /** 0: any that is free. */
  port: number;
}

/** 127.0.0.1:9100, [::1]:9100. */
export function parseListenAddress(text: string): ListenAddress {
  const what = `--metrics "${text}"`;
  const hint = 'an address of this machine and a port: 127.0.0.1:9100 or [::1]:9100; port 0 takes any that is free';
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d*)$/.exec(text);
  if (!match) throw usageError(what, 'is not an address and a port', hint);
  const [, v6, v4, digits] = match as unknown as [string, string | undefined, string | undefined, string];
  const host = v6 ?? v4 ?? '';
  if (host === '') throw usageError(what, 'names no address', hint);
  if (net.isIP(host) !== (v6 === undefined ? 4 : 6) || host.includes('%')) throw usageError(what, `"${host}" is not an address`, hint);
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : NaN;
  if (!(port <= 65535)) throw usageError(what, 'has a port that is not a number from 0 to 65535', hint);
  return { host, port };
}

/** As it is written in a URL. */
export const addressText = ({ host, port }: ListenAddress): string => `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;

const WILDCARDS = ['0.0.0.0', '[::]'];

/** Whether who serves at that URL is in the way of that address. */
export function servedAt(url: string, { host, port }: ListenAddress): boolean {
  const { hostname, port: taken } = new URL(url);
  const wanted = new URL(`http://${addressText({ host, port })}`).hostname;
  const sameFamily = hostname.startsWith('[') === wanted.startsWith('[');
  return Number(taken || 80) === port && sameFamily && (hostname === wanted || [hostname, wanted].some((each) => WILDCARDS.includes(each)));
}
