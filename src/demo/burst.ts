// SPDX-License-Identifier: MIT
/**
 * `burst.js ADDRESS PORT COUNT`: sends COUNT datagrams to itself as fast as it can, and counts
 * those that arrive until its standard input ends and nothing has come for a while.
 */
import * as dgram from 'node:dgram';

const [address, port, count] = process.argv.slice(2) as [string, string, string];
const PAYLOAD = Buffer.alloc(1400, 0x77);
const QUIET_MS = 300;

const socket = dgram.createSocket('udp4');
let received = 0;
let last = performance.now();
socket.on('message', () => {
  received++;
  last = performance.now();
});
socket.bind(Number(port), address, () => {
  // Room for all that the small queue can hold, whenever this program gets to read it.
  socket.setRecvBufferSize(1 << 20);
  for (let i = 0; i < Number(count); i++) socket.send(PAYLOAD, Number(port), address, () => undefined);
});

process.stdin.resume().once('end', () => {
  last = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - last < QUIET_MS) return;
    clearInterval(timer);
    socket.close();
    process.stdout.write(JSON.stringify({ sent: Number(count), received }) + '\n');
  }, 20);
});
