// SPDX-License-Identifier: MIT
/** Moves bytes over TCP and hashes them at both ends. */
import { createHash, randomBytes } from 'node:crypto';
import * as net from 'node:net';

export interface TcpReceiveOptions {
  at: string;
  port: number;
}

export interface TcpSendOptions {
  to: string;
  port: number;
  bytes: number;
}

export interface TcpResult {
  bytes: number;
  sha256: string;
  seconds: number;
}

const CHUNK_BYTES = 1 << 20;

/** Receives one connection until it ends. */
export function receiveTcp(options: TcpReceiveOptions, ready: () => void): Promise<TcpResult> {
  const server = net.createServer();
  const result = receiveFrom(server);
  server.listen(options.port, options.at, ready);
  return result;
}

/** Receives one connection of a server until it ends, and closes the server. */
export function receiveFrom(server: net.Server): Promise<TcpResult> {
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.on('connection', (socket) => {
      const hash = createHash('sha256');
      const start = performance.now();
      let bytes = 0;
      socket.on('data', (data) => {
        bytes += data.length;
        hash.update(data);
      });
      socket.on('error', reject);
      socket.on('end', () => {
        server.close();
        resolve({ bytes, sha256: hash.digest('hex'), seconds: (performance.now() - start) / 1000 });
      });
    });
  });
}

/** Connects and sends pseudo-random bytes. */
export async function sendTcp({ to, port, bytes }: TcpSendOptions): Promise<TcpResult> {
  const socket = net.connect(port, to);
  await new Promise<void>((resolve, reject) => socket.once('connect', () => resolve()).once('error', reject));
  return sendOver(socket, bytes);
}

/**
 * Sends pseudo-random bytes and closes the connection: a random block, with the number of the block written into it.
 */
export async function sendOver(socket: net.Socket, bytes: number): Promise<TcpResult> {
  const hash = createHash('sha256');
  const start = performance.now();
  const failed = new Promise<never>((_, reject) => socket.on('error', reject));
  // Two blocks in turn: one may still be on its way into the kernel while the other is written.
  const blocks = [randomBytes(CHUNK_BYTES), randomBytes(CHUNK_BYTES)];
  for (let sent = 0, number = 0; sent < bytes; number++) {
    const block = (blocks[number % 2] as Buffer).subarray(0, Math.min(CHUNK_BYTES, bytes - sent));
    if (block.length >= 4) block.writeUInt32LE(number);
    hash.update(block);
    await Promise.race([failed, new Promise<void>((resolve) => socket.write(block, () => resolve()))]);
    sent += block.length;
  }
  socket.end();
  await Promise.race([failed, new Promise<void>((resolve) => socket.once('close', () => resolve()))]);
  return { bytes, sha256: hash.digest('hex'), seconds: (performance.now() - start) / 1000 };
}
