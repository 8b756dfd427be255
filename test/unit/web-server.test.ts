// SPDX-License-Identifier: MIT
/** The server of `vnet-bpf web`: which requests and which WebSockets it takes. P1 to P4 of docs/SECURITY.md. */
import { once } from 'node:events';
import * as http from 'node:http';
import * as net from 'node:net';

import t, { type Test } from 'tap';
import { WebSocket } from 'ws';

import { parseListenAddress } from '../../src/metrics/address';
import { PAGES_MAX, WebServer } from '../../src/web/server';
import { asked, closed, opened, type WebAddress, webAddress } from '../helpers/web-client';

const OPTIONS = { address: parseListenAddress('127.0.0.1:0'), version: '1.2.3', readOnly: false, look: () => [] };

interface Served extends WebAddress {
  server: WebServer;
}

async function served(t: Test, listen = '127.0.0.1:0'): Promise<Served> {
  const directory = t.testdir({ 'page.html': '<!doctype html>', 'page.js': '"use strict"', 'page.css': 'body {}' });
  const server = await WebServer.listen({ ...OPTIONS, address: parseListenAddress(listen), directory });
  t.teardown(() => server[Symbol.asyncDispose]());
  return { server, ...webAddress(server.url) };
}

interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}

function get(url: string, options: http.RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { agent: false, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    request.on('error', reject).end();
  });
}

t.test('P1: three files are served, and no script, style or connection of others', async (t) => {
  const { base, token } = await served(t);
  for (const [name, type] of [
    ['/', 'text/html'],
    ['/page.js', 'text/javascript'],
    ['/page.css', 'text/css'],
  ] as const) {
    const { status, headers, text } = await get(base + name);
    t.equal(status, 200, name);
    t.match(headers['content-type'], type);
    t.notMatch(text, token, 'no file has the token');
    t.match(headers, {
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
    });
    const policy = String(headers['content-security-policy']).split('; ');
    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ])
      t.ok(policy.includes(rule), rule);
    t.notMatch(headers['content-security-policy'], /unsafe|\*/);
    t.equal(headers['access-control-allow-origin'], undefined, 'no other origin may read it');
  }
  for (const name of ['/page.html', '/server.js', '/..%2fcli/main.js', '/../cli/main.js', '//', '/?a', '/constructor'])
    t.match(await get(base, { path: name }), { status: 404 }, name);
  t.match(await get(base, { method: 'POST' }), { status: 405, headers: { allow: 'GET, HEAD' } });
  t.match(await get(base, { headers: { 'content-length': 5 } }), { status: 413 });
  t.match(await get(`${base}/live`), { status: 404 }, 'without an upgrade');
});

t.test('P2: a WebSocket is opened only with the token, by the page of this server', async (t) => {
  const from = await served(t);
  const { token, port } = from;
  t.ok(token.length >= 32, 'the token cannot be guessed');
  const other = await served(t);
  t.not(other.token, token, 'each server has its own');

  for (const protocols of [
    [],
    ['vnet-bpf'],
    [token],
    [token, 'vnet-bpf'],
    ['vnet-bpf', `${token}x`],
    ['vnet-bpf', token.slice(1)],
    ['vnet-bpf', token.toLowerCase()],
    ['vnet-bpf', other.token],
    ['vnet-bpf', token, 'more'],
    ['vnet-bpf', 'wrong', token],
  ])
    t.equal(await asked(from, { protocols }), 401, `offers ${protocols.join()}`);

  for (const origin of [
    '',
    'null',
    'http://evil.example',
    'https://127.0.0.1',
    `https://127.0.0.1:${port}`,
    `http://127.0.0.1:${other.port}`,
    `http://localhost:${port}`,
    `http://127.0.0.1:${port}.evil.example`,
    'http://127.0.0.1',
  ])
    t.equal(await asked(from, { origin }), 403, `another origin: ${origin}`);

  // DNS rebinding: the name of the attacker's page leads here, and the browser believes that it is its own server.
  for (const host of ['evil.example', `evil.example:${port}`, '192.0.2.7', '127.0.0.1.evil.example'])
    t.equal(await asked(from, { host, origin: `http://${host}` }), 421, `another name: ${host}`);
  for (const host of ['evil.example', '127.0.0.1.evil.example'])
    t.match(await get(from.base, { headers: { host } }), { status: 421 }, `the page, by another name: ${host}`);

  for (const path of ['/', '/live/', '/live?x', '/page.js', '//live'])
    t.equal(await asked(from, { path }), 404, `another path: ${path}`);

  const forwarded = await asked(from, { host: 'localhost:8080', origin: 'http://localhost:8080' });
  t.ok(forwarded instanceof WebSocket, 'ssh -L leads to it by another port');
  if (forwarded instanceof WebSocket) forwarded.terminate();
  const mine = await opened(from);
  t.equal(mine.page.protocol, 'vnet-bpf', 'the token is not sent back');
  t.same(await mine.next('hello'), { type: 'hello', version: '1.2.3', readOnly: false, interfaces: [] });
  mine.page.terminate();
});

t.test('P3: what no page sends ends the connection, and only that', async (t) => {
  const from = await served(t);
  const good = await opened(from);
  const watch = { type: 'watch', interface: 'vnet0', frames: null };
  const act = { type: 'do', id: 1, interface: 'vnet0', action: { kind: 'cut', ms: 1 } };
  const wrong: unknown[] = [
    null,
    1,
    [],
    'x',
    {},
    { type: 'constructor' },
    { ...watch, interface: 7 },
    { ...watch, interface: 'x'.repeat(1000) },
    { ...watch, frames: {} },
    { ...watch, frames: { filter: 1 } },
    { ...watch, frames: { filter: 'x'.repeat(5000) } },
    { ...act, id: -1 },
    { ...act, id: '1' },
    { ...act, interface: null },
    { ...act, action: null },
    { ...act, action: { kind: 'toString' } },
    { ...act, action: { kind: '__proto__' } },
    { ...act, action: { kind: 'hook', file: '/tmp/hook.js' } },
    { ...act, action: { kind: 'cut', ms: '1' } },
    { ...act, action: { kind: 'cut', ms: -1 } },
    { ...act, action: { kind: 'carrier', state: 'sideways', forMs: null } },
    { ...act, action: { kind: 'carrier', state: 'down' } },
    { ...act, action: { kind: 'faults', rules: 7, seed: null } },
    { ...act, action: { kind: 'faults', rules: 'icmp: drop', seed: 1.5 } },
    { ...act, action: { kind: 'impair', words: ['delay'] } },
  ];
  for (const text of ['', '{', '\0', ...wrong.map((each) => JSON.stringify(each))]) {
    const { page } = await opened(from);
    page.send(text);
    t.equal(await closed(page), 1008, JSON.stringify(text.slice(0, 60)));
  }
  const binary = await opened(from);
  binary.page.send(Buffer.from(JSON.stringify(watch)));
  t.equal(await closed(binary.page), 1008, 'no page sends bytes');
  const huge = await opened(from);
  huge.page.send('x'.repeat(1 << 20));
  t.equal(await closed(huge.page), 1009, 'a message that is too long is not read');
  const many = await opened(from);
  for (let id = 0; id < 1000; id++) many.page.send(JSON.stringify({ ...act, id }));
  t.equal(await closed(many.page), 1013, 'a thousand actions at once');

  good.page.send(JSON.stringify(act));
  t.match(await good.next('done'), { type: 'done', id: 1, error: { message: 'vnet0: is not attached' } });
  good.page.send(JSON.stringify(watch));
  t.match(await good.next('gone'), { interface: 'vnet0' }, 'the page of a user is served all along');
  good.page.terminate();
});

t.test('P4: 200 pages: those that there is a place for are served, and a place that is free is given', async (t) => {
  const from = await served(t);
  const results = await Promise.all(Array.from({ length: 200 }, () => asked(from).catch(() => 0)));
  const pages = results.filter((each) => each instanceof WebSocket);
  t.equal(pages.length, PAGES_MAX, `${PAGES_MAX} are open`);
  t.equal(results.filter((each) => each === 503).length, 200 - PAGES_MAX, 'the others are told');
  pages[0]?.close();
  await closed(pages[0] as WebSocket);
  const next = await opened(from);
  t.ok(await next.next('hello'), 'one more');
  for (const page of [...pages, next.page]) page.terminate();
});

t.test('P4: connections that say nothing do not keep a page out', async (t) => {
  const from = await served(t);
  const silent = Array.from({ length: 200 }, () => net.connect(from.port, '127.0.0.1').on('error', () => undefined));
  await Promise.all(silent.map((socket) => once(socket, 'connect')));
  t.match(await get(from.base), { status: 200 });
  const mine = await opened(from);
  t.ok(await mine.next('hello'));
  const more = Array.from({ length: 200 }, () => net.connect(from.port, '127.0.0.1').on('error', () => undefined));
  await Promise.all(more.map((socket) => once(socket, 'connect')));
  t.match(await get(from.base), { status: 200 });
  mine.say({ type: 'watch', interface: 'vnet0', frames: null });
  t.ok(await mine.next('gone'), 'nor does a page lose its place to them');
  for (const socket of [...silent, ...more]) socket.destroy();
  mine.page.terminate();
});

t.test('many requests in one connection are answered once', async (t) => {
  const { port } = await served(t);
  const socket = net.connect(port, '127.0.0.1');
  socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(1000));
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  await once(socket, 'close');
  t.equal(text.split('HTTP/1.1 200').length - 1, 1);
});

t.test('over IPv6, and by a name that was given', async (t) => {
  const six = await served(t, '[::1]:0');
  t.match(await get(six.base), { status: 200 });
  const page = await opened(six);
  t.ok(await page.next('hello'));
  page.page.terminate();
  const named = await served(t, '127.0.0.1:0,lab.example');
  const [host, origin] = [`lab.example:${named.port}`, `http://lab.example:${named.port}`];
  const byName = await asked(named, { host, origin });
  t.not(typeof byName, 'number', 'a page by that name');
  if (typeof byName !== 'number') byName.terminate();
  t.equal(await asked(named, { host: 'other.example', origin: 'http://other.example' }), 421);
});

t.test('a server that ends says so to its pages', async (t) => {
  const { server, ...from } = await served(t);
  const { page } = await opened(from);
  const [code] = await Promise.all([closed(page), server[Symbol.asyncDispose]()]);
  t.equal(code, 1001);
  await t.rejects(get(from.base), { code: 'ECONNREFUSED' }, 'and nothing listens any more');
});

t.test('without the files of the page there is no server', async (t) => {
  await t.rejects(WebServer.listen({ ...OPTIONS, directory: t.testdir({}) }), {
    code: 'STATE',
    hint: /make build/,
  });
});
