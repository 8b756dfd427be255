// SPDX-License-Identifier: MIT
// A TFTP server that answers each ACK with the next block, even if the ACK is a duplicate: from then on it sends every
// block twice, the "Sorcerer's Apprentice Syndrome" of RFC 1123, 4.2.3.1. And one that ignores duplicates.
// node tftp.mjs careless|careful
import { createSocket } from 'node:dgram';
import { on, once } from 'node:events';

const HOST = '10.77.0.1';
const [DATA, ACK] = [3, 4];
const BLOCK_BYTES = 512;
const RESEND_MS = 300;
const FILE = Buffer.alloc(20 * BLOCK_BYTES + 100, 'The broom is fetching water. ');
const LAST_BLOCK = Math.floor(FILE.length / BLOCK_BYTES) + 1;

const packet = (operation, block, content = '') =>
  Buffer.concat([Buffer.from([0, operation, block >> 8, block & 0xff]), Buffer.from(content)]);

async function bound(port) {
  const socket = createSocket('udp4').bind(port, HOST);
  await once(socket, 'listening');
  return socket;
}

/** Waits for a request, and sends the file from a port of its own. Resolves to the number of datagrams that it took. */
async function serve(isCareful) {
  const listener = await bound(69);
  const [, client] = await once(listener, 'message');
  listener.close();
  const socket = await bound(0);
  let sent = 0;
  let timer;
  const sendBlock = (block) => {
    clearTimeout(timer);
    timer = setTimeout(sendBlock, RESEND_MS, block);
    sent++;
    const content = FILE.subarray((block - 1) * BLOCK_BYTES, block * BLOCK_BYTES);
    socket.send(packet(DATA, block, content), client.port, client.address);
  };
  let current = 1;
  sendBlock(current);
  for await (const [message] of on(socket, 'message')) {
    const block = message.readUInt16BE(2);
    if (block === LAST_BLOCK) break;
    if (isCareful && block !== current) continue; // the fix: it has been sent already
    current = block + 1;
    sendBlock(current);
  }
  clearTimeout(timer);
  socket.close();
  return sent;
}

/** Asks for the file, and acknowledges every block that comes. `received` collects the content. */
async function read(received) {
  const socket = await bound(0);
  socket.on('message', (message, server) => {
    const block = message.readUInt16BE(2);
    if (block === received.length + 1) received.push(message.subarray(4));
    socket.send(packet(ACK, block), server.port, server.address);
  });
  socket.send('\0\x01broom\0octet\0', 69, HOST);
  return socket;
}

const received = [];
const done = serve(process.argv[2] === 'careful');
const client = await read(received);
const sent = await done;
client.close();
const isWhole = Buffer.concat(received).equals(FILE);
console.log(`${LAST_BLOCK} blocks in ${sent} datagrams, ${isWhole ? 'complete' : 'damaged'}`);
