// SPDX-License-Identifier: MIT
/** GET /metrics, for as long as the interfaces of this process are there. It runs in the main thread, the loop in another. */
import * as http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

import { Connections } from '../connections';
import { VnetError } from '../errors';
import { printable } from '../printable';
import type { Attachment } from '../state/store';
import { addressText, isNamedBy, type ListenAddress } from './address';
import { CONTENT_TYPE, metricsText, readings } from './prometheus';

/** What is answered: called for each request. */
export type MetricsSource = () => string | Promise<string>;

/** More than the scrapers of one machine need; a flood of others is not to take all descriptors of the controller. */
const CONNECTIONS_MAX = 64;
/** A connection serves one request, and all of it has to be over by then: saying what is wanted, and reading the answer. */
const DEADLINE_MS = 10_000;
/** A scraper sends some hundred bytes. */
const HEADER_BYTES_MAX = 8192;

export class MetricsServer implements Disposable {
  private constructor(
    private readonly server: http.Server,
    readonly url: string,
  ) {}

  /** Does not keep the process alive. Throws a VnetError that says why nobody can listen there. */
  static async listen(address: ListenAddress, contentType: string, source: MetricsSource, { deadlineMs = DEADLINE_MS } = {}): Promise<MetricsServer> {
    // Node's own time-outs are looked at every 30 s, and a slow reader meets none of them.
    const server = http.createServer({ requestTimeout: 0, headersTimeout: 0, maxHeaderSize: HEADER_BYTES_MAX });
    const connections = new Connections(CONNECTIONS_MAX, deadlineMs);
    const asked = new WeakSet<Socket>();
    const handle = (request: http.IncomingMessage, response: http.ServerResponse): void => {
      const { socket } = request;
      // Node hands over every request of a piece of 64 KiB, more than a thousand: reading them all would keep others waiting.
      if (asked.has(socket)) return void socket.pause();
      asked.add(socket);
      void answer(request, response, address, contentType, source);
    };
    server.on('connection', (socket) => connections.add(socket)).on('request', handle);
    // Requests with an Expect header; those that expect the unheard-of Node would answer itself, one after the other without end.
    server.on('checkContinue', handle).on('checkExpectation', handle);
    server.unref();
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(address, error)));
      server.listen({ host: address.host, port: address.port, ipv6Only: true }, resolve);
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

async function answer(request: http.IncomingMessage, response: http.ServerResponse, address: ListenAddress, contentType: string, source: MetricsSource): Promise<void> {
  const say = (status: number, text: string, headers: http.OutgoingHttpHeaders = {}): void => {
    // The connection ends with the answer: none waits for a next request, and what else was sent is not read.
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff', connection: 'close', ...headers }).end(text);
  };
  const { host, 'content-length': length = '0', 'transfer-encoding': coding } = request.headers;
  // HTTP/1.0 knows no Host; a browser always sends one.
  if (host !== undefined && !isNamedBy(address, host)) return say(421, 'this server has another name: docs/metrics.md\n');
  if (request.url?.split('?')[0] !== '/metrics') return say(404, 'there is only /metrics\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') return say(405, 'only GET\n', { allow: 'GET, HEAD' });
  if (length !== '0' || coding !== undefined) return say(413, 'a request has no body\n');
  try {
    say(200, await source(), { 'content-type': contentType });
  } catch (error) {
    // A scraper shows the status; a reading that fails once must not end the loop.
    say(500, `${printable(error instanceof Error ? error.message : typeof error)}\n`);
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

// `attach --metrics`: loaded only when it is asked for.

/** An interface of this process. */
export interface Served {
  readonly isClosing: boolean;
  readonly attachment: Attachment;
}

/** Serves the interfaces of this process: whatever is in the list when it is asked. */
export function serveMetrics(address: ListenAddress, controllers: readonly Served[]): Promise<MetricsServer> {
  const attachments = () => controllers.filter(({ isClosing }) => !isClosing).map(({ attachment }) => attachment);
  return MetricsServer.listen(address, CONTENT_TYPE, () => metricsText(readings(attachments())));
}
