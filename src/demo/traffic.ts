// SPDX-License-Identifier: MIT
/**
 * The demo's traffic, a program of its own:
 *
 *     traffic.js receive ADDRESS PORT FILE    receives a file over TCP
 *     traffic.js send ADDRESS PORT FILE       sends it
 *     traffic.js burst ADDRESS PORT COUNT     sends COUNT datagrams to itself as fast as it can, and counts those that
 *                                             arrive until its standard input ends and nothing has come for a while
 */
import * as dgram from 'node:dgram';
import * as fs from 'node:fs';
import * as net from 'node:net';
import { pipeline } from 'node:stream/promises';

const [mode, address, port, operand] = process.argv.slice(2) as [string, string, string, string];

function receive(file: string): void {
  const server = net.createServer((socket) => {
    server.close();
    void pipeline(socket, fs.createWriteStream(file));
  });
  server.listen(Number(port), address, () => process.stdout.write('listening\n'));
}

function send(file: string): void {
  void pipeline(fs.createReadStream(file, { highWaterMark: 1 << 20 }), net.connect(Number(port), address));
}

const PAYLOAD = Buffer.alloc(1400, 0x77);
const QUIET_MS = 300;

function burst(count: number): void {
  const socket = dgram.createSocket('udp4');
  let received = 0;
  let last = performance.now();
  socket.on('message', () => {
    received++;
    last = performance.now();
  });
  socket.bind(Number(port), address, () => {
    // Space for everything that the small queue can hold, whenever this program reads it.
    socket.setRecvBufferSize(1 << 20);
    for (let i = 0; i < count; i++) socket.send(PAYLOAD, Number(port), address, () => undefined);
  });
  process.stdin.resume().once('end', () => {
    last = performance.now();
    const timer = setInterval(() => {
      if (performance.now() - last < QUIET_MS) return;
      clearInterval(timer);
      socket.close();
      process.stdout.write(JSON.stringify({ sent: count, received }) + '\n');
    }, 20);
  });
}

if (mode === 'receive') receive(operand);
else if (mode === 'send') send(operand);
else burst(Number(operand));
