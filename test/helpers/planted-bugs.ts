// SPDX-License-Identifier: MIT
/**
 * `node planted-bugs NAME`: programs for explore.test.ts. Each is a client and a server with one bug, which shows only if
 * the network does something that it seldom does; then the exit code is 1. The last one fails by itself, now and then.
 */
import * as dgram from 'node:dgram';
import { once } from 'node:events';
import * as net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const ADDRESS = '10.77.0.1';

/** The port of each program. */
export const PORTS = { 'syn-ack': 7001, duplicate: 7002, reorder: 7003, reset: 7004, cut: 7005, flaky: 7006 } as const;
export type BugName = keyof typeof PORTS;

/** Says what is wrong, and fails. */
function fail(why: string): never {
  console.error(why);
  process.exit(1);
}

async function serveTcp(port: number, serve: (socket: net.Socket) => void): Promise<void> {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    serve(socket);
  });
  server.listen(port, ADDRESS);
  await once(server, 'listening');
}

interface Udp {
  send(text: string): void;
  onMessage(take: (text: string, reply: (text: string) => void) => void): void;
}

function udp(socket: dgram.Socket, port: number): Udp {
  return {
    send: (text) => socket.send(text, port, ADDRESS),
    onMessage: (take) =>
      void socket.on('message', (data, from) =>
        take(data.toString(), (text) => socket.send(text, from.port, from.address)),
      ),
  };
}

async function udpPair(port: number): Promise<{ client: Udp; server: Udp }> {
  const server = dgram.createSocket('udp4');
  server.bind(port, ADDRESS);
  await once(server, 'listening');
  return { client: udp(dgram.createSocket('udp4'), port), server: udp(server, port) };
}

const CONNECT_MS = 950;

/** Gives a connection up before TCP has sent its SYN again, after a second, and does not try once more. */
async function synAck(): Promise<void> {
  await serveTcp(PORTS['syn-ack'], (socket) => socket.on('data', (data) => socket.end(data)));
  for (let i = 1; i <= 6; i++) {
    const socket = net.connect(PORTS['syn-ack'], ADDRESS);
    const timer = setTimeout(() => fail(`connection ${i}: no answer within ${CONNECT_MS} ms`), CONNECT_MS);
    await once(socket, 'connect');
    clearTimeout(timer);
    socket.end('hello');
    await once(socket.resume(), 'close');
  }
}

/** Sends each request again until it is answered; the server does not notice that it has seen a request before. */
async function duplicate(): Promise<void> {
  const { client, server } = await udpPair(PORTS.duplicate);
  let balance = 0;
  server.onMessage((request, reply) => {
    if (request.startsWith('deposit')) balance += 10;
    reply(`${request} done`);
  });
  const answers = new Map<string, () => void>();
  client.onMessage((answer) => answers.get(answer)?.());
  for (let i = 1; i <= 10; i++) {
    const answered = new Promise<void>((resolve) => answers.set(`deposit ${i} done`, resolve));
    client.send(`deposit ${i}`);
    const again = setInterval(() => client.send(`deposit ${i}`), 2000);
    await answered;
    clearInterval(again);
  }
  await delay(50);
  if (balance !== 100) fail(`the balance is ${balance}, not 100`);
}

const PART_MS = 20;

/** Puts a text together in the order in which its parts arrive; parts that arrive twice are noticed. */
async function reorder(): Promise<void> {
  const { client, server } = await udpPair(PORTS.reorder);
  const parts = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven'];
  const seen = new Set<string>();
  const all = new Promise<void>((resolve) =>
    server.onMessage((part) => {
      seen.add(part);
      if (seen.size === parts.length) resolve();
    }),
  );
  for (const part of parts) {
    client.send(part);
    await delay(PART_MS);
  }
  await all;
  if ([...seen].join() !== parts.join()) fail(`arrived as ${[...seen].join(' ')}`);
}

const FILE_BYTES = 60_000;
const FLUSH_BYTES = 16_384;
/** The server pauses after these bytes: a reset takes away what the client has not read yet, and nothing would fail. */
const FIRST_BYTES = 20_000;
const PAUSE_MS = 100;

/** Downloads a file, again if the connection breaks; what has been written before that is not taken away. */
async function reset(): Promise<void> {
  await serveTcp(PORTS.reset, (socket) => {
    socket.write(Buffer.alloc(FIRST_BYTES, 'x'));
    setTimeout(() => socket.end(Buffer.alloc(FILE_BYTES - FIRST_BYTES, 'x')), PAUSE_MS);
  });
  let written = 0;
  for (let attempt = 1; attempt <= 8; attempt++) {
    let waiting = 0;
    const socket = net.connect(PORTS.reset, ADDRESS);
    let broken = false;
    socket.on('error', () => (broken = true));
    socket.on('data', (data) => {
      waiting += data.length;
      const whole = waiting - (waiting % FLUSH_BYTES);
      written += whole;
      waiting -= whole;
    });
    socket.on('end', () => (written += waiting));
    await new Promise((resolve) => socket.once('close', resolve));
    if (!broken) break;
  }
  if (written !== FILE_BYTES) fail(`the file has ${written} bytes, not ${FILE_BYTES}`);
}

const BEAT_MS = 200;
const DEAD_MS = 1600;

/** Takes the other side for dead when it has been silent for less than two seconds. */
async function cut(): Promise<void> {
  const { client, server } = await udpPair(PORTS.cut);
  server.onMessage((beat, reply) => reply(beat));
  let heard = performance.now();
  client.onMessage(() => (heard = performance.now()));
  for (let i = 0; i < 14; i++) {
    client.send(`beat ${i}`);
    await delay(BEAT_MS);
    if (performance.now() - heard > DEAD_MS) fail('the other side is dead');
  }
}

/** Fails in two of five runs, whatever the network does. */
async function flaky(): Promise<void> {
  const { client, server } = await udpPair(PORTS.flaky);
  const heard = new Promise<void>((resolve) => server.onMessage(() => resolve()));
  const again = setInterval(() => client.send('hello'), 20);
  await heard;
  clearInterval(again);
  if (Math.random() < 0.4) fail('bad luck');
}

const PROGRAMS: Readonly<Record<BugName, () => Promise<void>>> = {
  'syn-ack': synAck,
  duplicate,
  reorder,
  reset,
  cut,
  flaky,
};

if (require.main === module) void PROGRAMS[process.argv[2] as BugName]().then(() => process.exit());
