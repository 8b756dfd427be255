// SPDX-License-Identifier: MIT
/** GET /metrics, for as long as the interfaces of this process are there. It runs in the main thread, the loop in another. */
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';

import { VnetError } from '../errors';
import { addressText, type ListenAddress } from './address';

/** What is answered: called for each request. */
export type MetricsSource = () => Promise<string>;

/** More than the scrapers of one machine need; a flood of others is not to take all descriptors of the controller. */
const CONNECTIONS_MAX = 16;
/** Who connects and says nothing has to go by then. */
const REQUEST_MS = 10_000;

export class MetricsServer implements Disposable {
  private constructor(
    private readonly server: http.Server,
    readonly url: string,
  ) {}

  /** Does not keep the process alive. Throws a VnetError that says why nobody can listen there. */
  static async listen(address: ListenAddress, contentType: string, source: MetricsSource): Promise<MetricsServer> {
    const server = http.createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS }, (request, response) => void answer(request, response, contentType, source));
    server.maxConnections = CONNECTIONS_MAX;
    server.unref();
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(address, error)));
      server.listen({ ...address, ipv6Only: true }, resolve);
    });
    // A connection that could not be accepted, for want of descriptors: the next may be.
    server.on('error', () => undefined);
    const { port } = server.address() as AddressInfo;
    return new MetricsServer(server, `http://${addressText({ ...address, port })}/metrics`);
  }

  /** Ends connections, too. Idempotent. */
  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

async function answer(request: http.IncomingMessage, response: http.ServerResponse, contentType: string, source: MetricsSource): Promise<void> {
  const say = (status: number, text: string, headers: http.OutgoingHttpHeaders = {}): void => {
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...headers }).end(text);
  };
  if (request.url?.split('?')[0] !== '/metrics') return say(404, 'there is only /metrics\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') return say(405, 'only GET\n', { allow: 'GET, HEAD' });
  try {
    say(200, await source(), { 'content-type': contentType });
  } catch (error) {
    // A scraper shows the status; a reading that fails once must not end the loop.
    say(500, `${error instanceof Error ? error.message : String(error)}\n`);
  }
}

function cannotListen(address: ListenAddress, error: NodeJS.ErrnoException): VnetError {
  const [why, hint] = REASONS[error.code ?? ''] ?? [error.message, 'give another address or port'];
  return new VnetError('BUSY', `--metrics ${addressText(address)}`, why, { hint, cause: error });
}

const REASONS: Readonly<Record<string, [string, string]>> = {
  EADDRINUSE: ['the port is in use', 'give another port; 0 takes any that is free'],
  EADDRNOTAVAIL: ['this network namespace has no such address', 'ip addr shows those that it has; lo has to be up for 127.0.0.1 and ::1'],
  EACCES: ['this process may not listen there', 'ports below 1024 need CAP_NET_BIND_SERVICE'],
};
