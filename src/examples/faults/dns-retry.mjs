// SPDX-License-Identifier: MIT
// A DNS client that waits forever if its question or the answer is lost, and one that asks again.
// node dns-retry.mjs careless|careful
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { on, once } from 'node:events';

const ADDRESS = '10.77.0.1';
const HEADER_BYTES = 12;

/** A name server that knows a single address. */
async function serve() {
  const server = createSocket('udp4');
  server.on('message', (question, { address, port }) => {
    const answer = Buffer.from('c00c00010001000000000004c0000201', 'hex'); // 192.0.2.1
    const header = Buffer.from(question.subarray(0, HEADER_BYTES));
    header.writeUInt16BE(0x8180, 2); // an answer, without an error
    header.writeUInt16BE(1, 6); // with one record
    server.send(Buffer.concat([header, question.subarray(HEADER_BYTES), answer]), port, address);
  });
  server.bind(53, ADDRESS);
  await once(server, 'listening');
  return server;
}

function question(id, name) {
  const header = Buffer.from([id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  const labels = name.split('.').flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
}

const addressIn = (answer) => answer.subarray(-4).join('.');

/** The bug: nothing happens if no answer comes. */
async function careless(socket, name) {
  socket.send(question(randomInt(0x10000), name));
  const [answer] = await once(socket, 'message');
  return addressIn(answer);
}

/** The fix: each question has a time limit, after which it is asked again. A late answer is as good. */
async function careful(socket, name) {
  const id = randomInt(0x10000);
  for (let waitMs = 250; waitMs <= 2000; waitMs *= 2) {
    socket.send(question(id, name));
    const signal = AbortSignal.timeout(waitMs);
    try {
      for await (const [answer] of on(socket, 'message', { signal }))
        if (answer.readUInt16BE(0) === id) return addressIn(answer);
    } catch (error) {
      if (!signal.aborted) throw error;
      console.error(`no answer within ${waitMs} ms`);
    }
  }
  throw new Error(`${name}: no answer to any of 4 questions`);
}

const server = await serve();
const socket = createSocket('udp4');
socket.connect(53, ADDRESS);
await once(socket, 'connect');
const lookUp = { careless, careful }[process.argv[2]];
console.log(await lookUp(socket, 'www.example.com'));
socket.close();
server.close();
