// SPDX-License-Identifier: MIT
/**
 * The server of `vnet-bpf web`: three files, and a WebSocket for everything else. It serves one request per connection.
 */
import * as fs from 'node:fs';
import * as http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import * as path from 'node:path';
import type { Duplex } from 'node:stream';

import { WebSocket, WebSocketServer } from 'ws';

import { Connections } from '../connections';
import { VnetError } from '../errors';
import { addressText, cannotListen, isLoopback, type ListenAddress } from '../metrics/address';
import type { Attachment } from '../state/store';
import { type Denied, deniedRequest, deniedUpgrade, newToken } from './access';
import { Live } from './live';
import { MESSAGE_BYTES_MAX } from './messages';
import { PageConnection } from './page-connection';
import { SUBPROTOCOL } from './protocol';

/** What is served, by path; the files are in dist/web. A bundle's __dirname is another directory of dist. */
const DIRECTORY = path.join(__dirname, '..', 'web');
const FILES: Readonly<Record<string, { name: string; type: string }>> = {
  '/': { name: 'page.html', type: 'text/html; charset=utf-8' },
  '/page.js': { name: 'page.js', type: 'text/javascript; charset=utf-8' },
  '/page.css': { name: 'page.css', type: 'text/css; charset=utf-8' },
};

/** No script, style or connection but our own, in no frame, and nothing kept. */
const HEADERS: http.OutgoingHttpHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cache-control': 'no-store',
  connection: 'close',
};

/** Open pages; more are refused. */
export const PAGES_MAX = 16;
/** Connections, pages included: a flood must not take all descriptors. */
const CONNECTIONS_MAX = 64;
/** Milliseconds after which a connection ends that is not a page's. */
const DEADLINE_MS = 10_000;
const HEADER_BYTES_MAX = 8192;
/** The close code of a server that ends (RFC 6455, 7.4.1). */
const GOING_AWAY = 1001;
/** How long pages have to answer that, in milliseconds. */
const GOODBYE_MS = 500;

export interface WebOptions {
  address: ListenAddress;
  /** The version that pages show. */
  version: string;
  /** Whether pages may only look. */
  readOnly: boolean;
  /** Returns the attachments that pages may see. */
  look: () => Attachment[];
  /** Where the files are. */
  directory?: string;
}

export class WebServer implements AsyncDisposable {
  private readonly sockets = new WebSocketServer({
    noServer: true,
    clientTracking: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    handleProtocols: () => SUBPROTOCOL,
  });
  private readonly connections = new Connections(CONNECTIONS_MAX, DEADLINE_MS);
  private readonly asked = new WeakSet<Socket>();
  private readonly token = newToken();
  private readonly live: Live;
  private readonly server: http.Server;

  private constructor(
    private readonly options: WebOptions,
    private readonly files: ReadonlyMap<string, Buffer>,
  ) {
    this.live = new Live(options.look, options.version, options.readOnly);
    // Node checks its own timeouts every 30 s, and none of them applies to a slow reader.
    this.server = http.createServer({ requestTimeout: 0, headersTimeout: 0, maxHeaderSize: HEADER_BYTES_MAX });
    const handle = (request: http.IncomingMessage, response: http.ServerResponse): void => {
      const { socket } = request;
      // Node passes on every request in a piece of 64 KiB.
      if (this.asked.has(socket)) return void socket.pause();
      this.asked.add(socket);
      this.answer(request, response);
    };
    this.server
      .on('connection', (socket) => this.connections.add(socket))
      .on('request', handle)
      .on('checkContinue', handle)
      .on('checkExpectation', handle)
      .on('upgrade', (request: http.IncomingMessage, socket: Socket, head: Buffer) =>
        this.upgrade(request, socket, head),
      );
  }

  /** Starts a server. Throws a VnetError that says why the address cannot be listened on, or what is not there. */
  static async listen(options: WebOptions): Promise<WebServer> {
    const server = new WebServer(options, filesIn(options.directory ?? DIRECTORY));
    const { address } = options;
    await new Promise<void>((resolve, reject) => {
      server.server.once('error', (error) => reject(cannotListen('listen', address, error)));
      server.server.listen({ host: address.host, port: address.port, ipv6Only: true }, resolve);
    });
    // A connection could not be accepted because no descriptor was free: the next one may be.
    server.server.on('error', () => undefined);
    return server;
  }

  /** The address to open, with the token. */
  get url(): string {
    const { port } = this.server.address() as AddressInfo;
    return `http://${addressText({ ...this.options.address, port })}/#${this.token}`;
  }

  private answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { 'content-length': length = '0', 'transfer-encoding': coding } = request.headers;
    const say = (status: number, body: string | Buffer, type = 'text/plain; charset=utf-8', allow?: string): void =>
      void response.writeHead(status, { ...HEADERS, 'content-type': type, ...(allow && { allow }) }).end(body);
    const denied = deniedRequest(request, this.options.address);
    if (denied) return say(denied.status, `${denied.why}\n`);
    const name = request.url ?? '';
    const file = Object.hasOwn(FILES, name) ? FILES[name] : undefined;
    if (!file) return say(404, 'there is only the page\n');
    if (request.method !== 'GET' && request.method !== 'HEAD') return say(405, 'only GET\n', undefined, 'GET, HEAD');
    if (length !== '0' || coding !== undefined) return say(413, 'a request has no body\n');
    say(200, this.files.get(file.name) as Buffer, file.type);
  }

  private upgrade(request: http.IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const full = { status: 503, why: `${PAGES_MAX} pages are open already` };
    const denied =
      deniedUpgrade(request, this.options.address, this.token) ?? (this.live.count >= PAGES_MAX ? full : null);
    if (denied) return refuse(socket, denied);
    this.sockets.handleUpgrade(request, socket, head, (page: WebSocket) => {
      this.connections.busy(socket);
      const address = socket.remoteAddress ?? '';
      new PageConnection(page, this.live, isLoopback(address) ? '' : address);
    });
  }

  /** Stops the server, tells the pages, and ends recordings. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    const pages = [...this.sockets.clients];
    for (const page of pages) page.close(GOING_AWAY, 'vnet-bpf web has ended');
    const late = setTimeout(() => pages.forEach((page) => page.terminate()), GOODBYE_MS);
    await this.live[Symbol.asyncDispose]();
    await Promise.all(pages.map((page) => new Promise((resolve) => ended(page, resolve))));
    clearTimeout(late);
    this.server.closeAllConnections();
    await closed;
  }
}

const ended = (page: WebSocket, then: (value: void) => void): void => {
  if (page.readyState === WebSocket.CLOSED) then();
  else page.once('close', () => then());
};

/** Answers a request for a WebSocket, and ends the connection. */
function refuse(socket: Duplex, { status, why }: Denied): void {
  const lines = [
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? ''}`,
    'connection: close',
    'content-type: text/plain; charset=utf-8',
    `content-length: ${why.length + 1}`,
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${why}\n`);
}

function filesIn(directory: string): Map<string, Buffer> {
  const names = Object.values(FILES).map(({ name }) => name);
  try {
    return new Map(names.map((name) => [name, fs.readFileSync(path.join(directory, name))]));
  } catch (cause) {
    throw new VnetError('STATE', 'the page', (cause as Error).message, {
      hint: 'make build makes it; if it comes from a package, install that again',
      cause,
    });
  }
}
