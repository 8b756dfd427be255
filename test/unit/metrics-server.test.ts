// SPDX-License-Identifier: MIT
/**
 * GET /metrics whatever happens: a reading that fails, clients that talk nonsense, say nothing or do not listen, a port
 * in use. M1 and M2 of docs/SECURITY.md.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as http from 'node:http';
import * as net from 'node:net';

import t from 'tap';

import { parseListenAddress } from '../../src/metrics/address';
import { MetricsServer } from '../../src/metrics/server';

const HERE = parseListenAddress('127.0.0.1:0');

function get(url: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on('error', reject);
  });
}

/** What the server answers to bytes, until it hangs up. */
function say(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), hostname, () => socket.write(text));
    let answer = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
    socket.on('error', reject).on('close', () => resolve(answer));
  });
}

t.test('a reading that fails is told, and the next one served', async (t) => {
  let times = 0;
  using server = await MetricsServer.listen(HERE, 'text/plain', () => {
    if (times++ === 0) throw new Error('the map is gone');
    return Promise.resolve('a 1\n');
  });
  t.same(await get(server.url), { status: 500, text: 'the map is gone\n' });
  t.same(await get(server.url), { status: 200, text: 'a 1\n' });
  t.same(await get(`${server.url}?debug=1`), { status: 200, text: 'a 1\n' }, 'parameters do no harm');
  t.match(await get(server.url.replace('/metrics', '/metricsX')), { status: 404 });
});

t.test('nonsense ends a connection, not the server', async (t) => {
  using server = await MetricsServer.listen(HERE, 'text/plain', () => Promise.resolve('a 1\n'));
  t.match(await say(server.url, '\x00\x01\x02\r\n\r\n'), /^HTTP\/1\.1 400 /);
  t.match(await say(server.url, 'GET http://[ HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 404 /);
  t.match(await get(server.url), { status: 200 });
});

t.test('M1: only what a scraper of this server asks is answered', async (t) => {
  let read = 0;
  using server = await MetricsServer.listen(HERE, 'text/plain', () => `a ${++read}\n`);
  const { host } = new URL(server.url);
  for (const [request, status] of [
    ['GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n', 421],
    ['GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n', 421],
    [`GET http://evil.example/metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 404],
    ['GET /metrics HTTP/1.1\r\n\r\n', 400],
    [`POST /metrics HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\n\r\n`, 405],
    [`DELETE /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 405],
    [`GET /metrics HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1\r\n\r\nx`, 413],
    [`GET /metrics HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 413],
    [`GET /metrics HTTP/1.1\r\nHost: ${host}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`, 413],
    [`GET /metrics HTTP/1.1\r\nHost: ${host}\r\nX: ${'x'.repeat(8192)}\r\n\r\n`, 431],
    [`GET /metrics?${'x'.repeat(8192)} HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 431],
  ] as const) {
    t.match(
      (await say(server.url, request)).split('\r\n')[0],
      `HTTP/1.1 ${status} `,
      request.slice(0, 70).split('\r\n').join(' | '),
    );
  }
  t.equal(read, 0, 'nothing was read for any of them');
  const twice = `GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(2);
  t.match(
    await say(server.url, twice),
    /^HTTP\/1\.1 200 .*\r\n(?:.*\r\n)*connection: close\r\n(?:(?!HTTP\/)[^])*a 1\n(?:(?!HTTP\/)[^])*$/i,
    'one request a connection',
  );
  t.equal(read, 1, 'and nothing is read for the second');
  const expecting = `GET /metrics HTTP/1.1\r\nHost: ${host}\r\nExpect: the unexpected\r\n\r\n`.repeat(100);
  t.equal(
    (await say(server.url, expecting)).match(/^HTTP\/1\.1 /gm)?.length,
    1,
    'so it is where each request expects something',
  );
  t.equal(read, 2);
  t.match(await say(server.url, 'GET /metrics HTTP/1.0\r\n\r\n'), 'HTTP/1.1 200 ', 'old clients name no host');
  t.match(
    await say(server.url, `HEAD /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
    /^HTTP\/1\.1 200 [^]*\r\n\r\n$/,
    'HEAD has no body',
  );
});

/**
 * Another process with 500 connections that send something; it reports when they are open, and ends when it is asked
 * to.
 */
const CROWD = `
const [port, host, text] = process.argv.slice(1);
const socket = () => new Promise((resolve) => {
  const made = require('node:net').connect(port, host, () => resolve(text && made.write(text))).on('error', () => undefined);
});
Promise.all(Array.from({ length: 500 }, socket)).then(() => console.log('there'));
process.stdin.resume().on('end', () => process.exit());
`;

t.test('M2: idle and slow connections, however many, neither stay nor keep a scrape waiting', async (t) => {
  const DEADLINE_MS = 700;
  let repeat = 1 << 22; // more than the kernel buffers for a client that does not read
  using server = await MetricsServer.listen(HERE, 'text/plain', () => 'a 1\n'.repeat(repeat), {
    deadlineMs: DEADLINE_MS,
  });
  const { hostname, port, host } = new URL(server.url);
  const opened = performance.now();
  const connect = (text: string): { socket: net.Socket; closed: Promise<number> } => {
    const socket = net.connect(Number(port), hostname, () => text && socket.write(text)).on('error', () => undefined);
    t.teardown(() => socket.destroy());
    // What is not read hides that the other side has gone: it is written to, as a keep-alive would be.
    const closed = new Promise<number>((resolve) => socket.once('close', () => resolve(performance.now() - opened)));
    return { socket, closed };
  };
  const quick = async (what: string): Promise<void> => {
    const start = performance.now();
    t.match(await say(server.url, `HEAD /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`), 'HTTP/1.1 200 ', what);
    t.ok(performance.now() - start < 2000, `at once: ${(performance.now() - start).toFixed()} ms`);
  };
  const GET = `GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  const few = [
    ...Array.from({ length: 16 }, () => connect('')),
    ...Array.from({ length: 8 }, () => connect(GET.slice(0, 30))),
  ];
  const drips = few.slice(16).map(({ socket }) => setInterval(() => socket.writable && socket.write('x'), 50));
  t.teardown(() => drips.forEach(clearInterval));
  const reader = connect(GET);
  reader.socket.once('data', () => reader.socket.pause());
  const readers = [
    setInterval(() => reader.socket.read(1), 50),
    setInterval(() => reader.socket.writable && reader.socket.write('x'), 50),
  ];
  t.teardown(() => readers.forEach(clearInterval));
  await quick('beside 16 that say nothing, 8 slow ones and one that does not read');
  const took = await Promise.all([...few, reader].map(({ closed }) => closed));
  t.ok(
    took.every((ms) => ms < 4 * DEADLINE_MS),
    `all are ended in time: ${Math.max(...took).toFixed()} ms`,
  );
  repeat = 1;
  for (const text of ['', GET.slice(0, 30), GET]) {
    const crowd = spawn(process.execPath, ['-e', CROWD, port, hostname, text], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.teardown(() => crowd.kill());
    await once(crowd.stdout, 'data');
    await quick(`beside 500 that said ${JSON.stringify(text)}`);
    crowd.stdin.end();
    await once(crowd, 'close');
  }
  await quick('and afterwards');
});

t.test('M2: connections that ask without end and do not read take a bounded amount of memory', async (t) => {
  let read = 0;
  using server = await MetricsServer.listen(HERE, 'text/plain', async () => `a ${++read}\n`.repeat(10_000), {
    deadlineMs: 2000,
  });
  const { hostname, port, host } = new URL(server.url);
  const before = process.memoryUsage.rss();
  const asks = `
const asks = Buffer.from(${JSON.stringify(`GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`)}.repeat(1400));
for (let i = 0; i < 8; i++) {
  const socket = require('node:net').connect(${port}, '${hostname}').on('error', () => undefined).pause();
  const ask = () => { while (socket.writable && socket.write(asks)); };
  socket.on('connect', ask).on('drain', ask);
}
setTimeout(() => process.exit(), 1500);
`;
  const crowd = spawn(process.execPath, ['-e', asks], { stdio: 'inherit' });
  t.teardown(() => crowd.kill());
  await once(crowd, 'close');
  t.ok(read <= 8, `${read} of them are answered, one a connection`);
  const grown = process.memoryUsage.rss() - before;
  t.ok(grown < 300e6, `${(grown / 1e6).toFixed()} MB`);
});

t.test('it ends with what is open, twice if need be', async (t) => {
  let asked = (): void => undefined;
  const isAsked = new Promise<void>((resolve) => (asked = resolve));
  const server = await MetricsServer.listen(HERE, 'text/plain', () => {
    asked();
    return new Promise(() => undefined);
  });
  const refusal = t.rejects(get(server.url), { message: /hang up|ECONNRESET/ }, 'who waited is told');
  await isAsked;
  server.close();
  server.close();
  await refusal;
  await t.rejects(get(server.url), { code: 'ECONNREFUSED' });
});

t.test('why it cannot listen', async (t) => {
  using server = await MetricsServer.listen(HERE, 'text/plain', () => Promise.resolve(''));
  const taken = parseListenAddress(new URL(server.url).host);
  await t.rejects(
    MetricsServer.listen(taken, '', () => Promise.resolve('')),
    { code: 'BUSY', exitCode: 1, message: `--metrics ${new URL(server.url).host}: the port is in use` },
  );
  await t.rejects(
    MetricsServer.listen(parseListenAddress('192.0.2.1:0'), '', () => Promise.resolve('')),
    { message: /no such address/, hint: /ip addr/ },
  );
});
