// SPDX-License-Identifier: MIT
/**
 * Only a page may connect that this server has served, opened with the token. The token is in the fragment of the
 * address, which a browser sends to no server; the page sends it as a subprotocol of its WebSocket.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import { isNamedBy, type ListenAddress } from '../metrics/address';
import { LIVE, SUBPROTOCOL } from './protocol';

const TOKEN_BYTES = 24;

/** A new token, of letters that a subprotocol may have. */
export const newToken = (): string => randomBytes(TOKEN_BYTES).toString('base64url');

/** A status of HTTP, and its reason as text for whoever looks. */
export interface Denied {
  status: number;
  why: string;
}

/** Compares in a time that does not depend on the content. */
function isSame(given: string, token: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(token)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Why a request is not answered; null if it is. With DNS rebinding, the Host has the name of the attacking page. */
export function deniedRequest(request: IncomingMessage, address: ListenAddress): Denied | null {
  const { host } = request.headers;
  // Browsers always send it.
  return host !== undefined && isNamedBy(address, host) ? null : { status: 421, why: 'this server has another name' };
}

/** Why a WebSocket is not opened; null if it is. Browsers send the Origin of the page, whatever that page does. */
export function deniedUpgrade(request: IncomingMessage, address: ListenAddress, token: string): Denied | null {
  const denied = deniedRequest(request, address);
  if (denied) return denied;
  const { host, origin, 'sec-websocket-protocol': offered = '' } = request.headers;
  if (request.method !== 'GET' || request.url !== LIVE) return { status: 404, why: `there is only ${LIVE}` };
  if (origin !== `http://${host}`) return { status: 403, why: 'only the page of this server may connect' };
  const [first, second = '', ...others] = offered.split(',').map((each) => each.trim());
  return first === SUBPROTOCOL && others.length === 0 && isSame(second, token)
    ? null
    : { status: 401, why: 'the token is missing, or of another server: take the address that it has printed' };
}
