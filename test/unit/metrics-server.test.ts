// SPDX-License-Identifier: MIT
/** GET /metrics whatever happens: a reading that fails, a client that talks nonsense, a port in use. */
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
  await t.rejects(MetricsServer.listen(taken, '', () => Promise.resolve('')), { code: 'BUSY', exitCode: 1, message: `--metrics ${new URL(server.url).host}: the port is in use` });
  await t.rejects(MetricsServer.listen(parseListenAddress('192.0.2.1:0'), '', () => Promise.resolve('')), { message: /no such address/, hint: /ip addr/ });
});
