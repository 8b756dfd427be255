// SPDX-License-Identifier: MIT
// A WebSocket client that takes the end of its connection for the end of the messages, and one that connects again and
// asks for those that it has missed. Needs the package ws.
// node websocket-reconnect.mjs careless|careful
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import { WebSocket, WebSocketServer } from 'ws';

const HOST = '10.77.0.1';
const PORT = 8080;
const MESSAGES = 20;

/** Sends the messages 1 to 20, or those after the one that the client names. */
async function serve() {
  const server = new WebSocketServer({ host: HOST, port: PORT });
  server.on('connection', async (socket, { url }) => {
    socket.on('error', () => undefined); // a reset; its messages are sent again when the client asks
    const after = Number(new URL(url, `ws://${HOST}`).searchParams.get('after'));
    for (let number = after + 1; number <= MESSAGES && socket.readyState === WebSocket.OPEN; number++) {
      socket.send(JSON.stringify({ number, of: MESSAGES }));
      await sleep(5);
    }
    socket.close();
  });
  await once(server, 'listening');
  return server;
}

/** Hands over messages until the connection ends. */
async function receive(after, onMessage) {
  const socket = new WebSocket(`ws://${HOST}:${PORT}/?after=${after}`);
  socket.on('message', (data) => onMessage(JSON.parse(data)));
  socket.on('error', (error) => console.error(error.message));
  await new Promise((resolve) => socket.on('close', resolve));
}

/** The bug: a connection that breaks is the end. */
async function careless(onMessage) {
  await receive(0, onMessage);
}

/** The fix: as long as messages are missing, it connects again, with a longer wait each time that brings nothing. */
async function careful(onMessage) {
  let last = { number: 0, of: Infinity };
  for (let waitMs = 50; last.number < last.of; waitMs = Math.min(2 * waitMs, 5000)) {
    await receive(last.number, (message) => {
      onMessage((last = message));
      waitMs = 50;
    });
    if (last.number < last.of) await sleep(waitMs);
  }
}

const server = await serve();
const numbers = [];
const client = { careless, careful }[process.argv[2]];
await client(({ number }) => numbers.push(number));
server.close();
console.log(`received ${numbers.join(' ')}`);
