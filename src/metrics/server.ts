// SPDX-License-Identifier: MIT
/**
 * Serves GET /metrics as long as the interfaces of this process exist. Runs in the main thread, the loop in another.
 */
import * as http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

import { Connections } from '../connections';
import { printable } from '../printable';
import type { Attachment } from '../state/store';
import { addressText, cannotListen, isNamedBy, type ListenAddress } from './address';
import { CONTENT_TYPE, metricsText, readings } from './prometheus';

/** Returns the text of an answer; called for each request. */
export type MetricsSource = () => string | Promise<string>;

/**
 * More connections than the scrapers of a machine need; a flood of others must not take all descriptors of the
 * controller.
 */
const CONNECTIONS_MAX = 64;
/**
 * Milliseconds after which a connection ends. It serves one request, which must be sent and its answer read by then.
 */
const DEADLINE_MS = 10_000;
/** Most bytes of a request's head; a scraper sends a few hundred. */
const HEADER_BYTES_MAX = 8192;

export class MetricsServer implements Disposable {
  private constructor(
    private readonly server: http.Server,
    readonly url: string,
  ) {}

  /**
   * Starts a server, which does not keep the process alive. Throws a VnetError that says why the address cannot be
   * listened on.
   */
  static async listen(
    address: ListenAddress,
    contentType: string,
    source: MetricsSource,
    { deadlineMs = DEADLINE_MS } = {},
  ): Promise<MetricsServer> {
    // Node checks its own timeouts every 30 s, and none of them applies to a slow reader.
    const server = http.createServer({ requestTimeout: 0, headersTimeout: 0, maxHeaderSize: HEADER_BYTES_MAX });
    const connections = new Connections(CONNECTIONS_MAX, deadlineMs);
    const asked = new WeakSet<Socket>();
    const handle = (request: http.IncomingMessage, response: http.ServerResponse): void => {
      const { socket } = request;
      // Node passes on every request in a piece of 64 KiB, more than a thousand: reading them all would keep others
      // waiting.
      if (asked.has(socket)) return void socket.pause();
      asked.add(socket);
      void answer(request, response, address, contentType, source);
    };
    server.on('connection', (socket) => connections.add(socket)).on('request', handle);
    // Requests with an Expect header; Node would answer unknown expectations itself, one after another without end.
    server.on('checkContinue', handle).on('checkExpectation', handle);
    server.unref();
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen('metrics', address, error)));
      server.listen({ host: address.host, port: address.port, ipv6Only: true }, resolve);
    });
    // A connection could not be accepted because no descriptor was free: the next one may be.
    server.on('error', () => undefined);
    const { port } = server.address() as AddressInfo;
    return new MetricsServer(server, `http://${addressText({ ...address, port })}/metrics`);
  }

  /** Stops the server and ends its connections. Idempotent. */
  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

async function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  address: ListenAddress,
  contentType: string,
  source: MetricsSource,
): Promise<void> {
  const say = (status: number, text: string, headers: http.OutgoingHttpHeaders = {}): void => {
    // The connection ends with the answer: it does not wait for another request, and anything else sent is not read.
    response
      .writeHead(status, {
        'content-type': 'text/plain; charset=utf-8',
        'x-content-type-options': 'nosniff',
        connection: 'close',
        ...headers,
      })
      .end(text);
  };
  const { host, 'content-length': length = '0', 'transfer-encoding': coding } = request.headers;
  // HTTP/1.0 has no Host header; browsers always send one.
  if (host !== undefined && !isNamedBy(address, host))
    return say(421, 'this server has another name: docs/metrics.md\n');
  if (request.url?.split('?')[0] !== '/metrics') return say(404, 'there is only /metrics\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') return say(405, 'only GET\n', { allow: 'GET, HEAD' });
  if (length !== '0' || coding !== undefined) return say(413, 'a request has no body\n');
  try {
    say(200, await source(), { 'content-type': contentType });
  } catch (error) {
    // A scraper shows the status; a single failed reading must not end the loop.
    say(500, `${printable(error instanceof Error ? error.message : typeof error)}\n`);
  }
}

// `attach --metrics`: loaded only when it is needed.

/** An interface of this process. */
export interface Served {
  readonly isClosing: boolean;
  readonly attachment: Attachment;
}

/** Serves the interfaces of this process: those in the list at the time of a request. */
export function serveMetrics(address: ListenAddress, controllers: readonly Served[]): Promise<MetricsServer> {
  const attachments = () => controllers.filter(({ isClosing }) => !isClosing).map(({ attachment }) => attachment);
  return MetricsServer.listen(address, CONTENT_TYPE, () => metricsText(readings(attachments())));
}
