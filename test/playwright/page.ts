// SPDX-License-Identifier: MIT
/** A page that receives a stream over a WebSocket, and the server of both. */
import { createHash } from 'node:crypto';
import * as http from 'node:http';
import type { Duplex } from 'node:stream';

/** Of RFC 6455, "The WebSocket Protocol": what a server appends to the client's key. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Time between two messages of the stream, in milliseconds. */
const TICK_MS = 20;

/**
 * Counts what it receives. When its connection ends, or nothing has come for a second, it opens another one and says
 * what it has received last, so that the stream goes on from there.
 */
const PAGE = `<!doctype html><title>stream</title><script>
window.received = [];
window.connections = 0;
window.longestSilence = 0;
let last = performance.now();
function connect() {
  window.connections++;
  const socket = new WebSocket('ws://' + location.host + '/' + window.received.length);
  let silence;
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => again(), 1000);
  };
  const again = () => {
    clearTimeout(silence);
    socket.onmessage = socket.onclose = null;
    socket.close();
    setTimeout(connect, 100);
  };
  socket.onmessage = ({ data }) => {
    heard();
    window.longestSilence = Math.max(window.longestSilence, performance.now() - last);
    last = performance.now();
    window.received.push(Number(data));
  };
  socket.onclose = again;
  heard();
}
connect();
</script>`;

/** A text message, without a mask, as a server sends it. Shorter than 126 bytes. */
function message(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.of(0x81, bytes.length), bytes]);
}

/** Numbers from the one in the request's path on, one every TICK_MS. */
function stream(request: http.IncomingMessage, socket: Duplex): void {
  const key = request.headers['sec-websocket-key'] ?? '';
  const accept = createHash('sha1')
    .update(key + GUID)
    .digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  let next = Number((request.url ?? '/0').slice(1));
  const timer = setInterval(() => socket.write(message(String(next++))), TICK_MS);
  socket.on('close', () => clearInterval(timer));
  socket.on('error', () => socket.destroy());
  socket.on('data', () => undefined);
}

export function pageServer(): http.Server {
  const server = http.createServer((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(PAGE);
  });
  server.on('upgrade', stream);
  return server;
}
