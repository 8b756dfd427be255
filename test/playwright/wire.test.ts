// SPDX-License-Identifier: MIT
/** A page in a browser that streams over a WebSocket, on wires of several kinds. `make test-playwright` runs it. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import * as path from 'node:path';

import { chromium, type Page } from 'playwright-core';
import t from 'tap';
import { Wire } from 'vnet-bpf/playwright';

import { frameAccounting } from '../../src/datapath/stats';
import { ROOT, SLOW } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { blocksOf } from '../helpers/document';
import { run } from '../helpers/netns';
import { pageServer } from './page';
import { CHROMIUM, cut, skip, streams, streamsUntil } from './stream';

t.setTimeout(300_000 * SLOW);

const connectionsOf = (page: Page): Promise<number> => page.evaluate('connections');

t.test('a page that streams over a WebSocket', { skip }, async (t) => {
  await using wire = await Wire.create();
  const browser = await wire.launch(chromium, { executablePath: CHROMIUM });
  const at = await wire.listen(pageServer());
  const page = await browser.newPage();
  await page.goto(`http://${at}/`);
  await streams(t, page, 20);
  const round = async (): Promise<number> =>
    page.evaluate(async () => {
      const begin = performance.now();
      await fetch(`/${begin}`);
      return performance.now() - begin;
    });

  await t.test('3g', async (t) => {
    await wire.set('3g');
    await streams(t, page, 20);
    const took = Math.min(await round(), await round());
    t.ok(took >= 120, `a request takes ${took.toFixed()} ms: 75 ms less 15 ms of jitter each way`);
  });
  await t.test('cut(2000): it connects again, and the stream goes on', async (t) => {
    const connections = await connectionsOf(page);
    await cut(t, wire, page);
    t.ok((await connectionsOf(page)) > connections, 'by another connection');
    await wire.set(null);
  });
  await t.test('every 10th frame is dropped', async (t) => {
    await wire.faults('tcp every 10: drop', { seed: 7 });
    const log = await streamsUntil(t, wire, page, 5);
    t.ok(log.every(({ rule, effect, n }) => rule === 1 && effect === 'drop' && n % 10 === 0));
    t.equal(wire.lab.seed, 7);
    await wire.set('dsl');
    await streams(t, page, 50);
    t.ok((await wire.faultLog()).length > 0, 'beside a kind of wire');
    await wire.faults(null);
    await wire.set(null);
    t.equal(wire.lab.seed, null);
  });
  await t.test('the carrier goes and comes back', async (t) => {
    await wire.lab.carrier('down', { forMs: 500 });
    await streams(t, page, 20);
  });
  const stats = wire.lab.nic.stats();
  t.ok(stats.rx.packets > 300, `${stats.rx.packets} frames went over the wire`);
  await browser.close();
  t.ok(await eventually(() => frameAccounting(wire.lab.nic.stats()).balanced, 5000), 'the frame accounting balances');
  await t.rejects(wire.set('2g'), { code: 'USAGE' });
  await t.rejects(wire.set('loss state 1%'), {
    code: 'UNSUPPORTED',
    message: /^wire: loss state: only netem can do that/,
  });
});

t.test('close() ends connections whose other end cannot say that it ends', { skip }, async (t) => {
  const wire = await Wire.create();
  const server = createServer();
  const port = (await wire.listen(server)).split(':').at(-1);
  const abort = new AbortController();
  const client = wire.lab
    .run('bash', ['-c', `exec 3<>/dev/tcp/${wire.address}/${port}; sleep 60`], { signal: abort.signal })
    .catch(() => undefined);
  await once(server, 'connection');
  const ended = once(server, 'close');
  await wire.lab.carrier('down');
  await wire.close();
  await ended;
  t.pass('the server has none left');
  abort.abort();
  await client;
});

t.test('docs/faults.md: the example', { skip }, async (t) => {
  const block = blocksOf(path.join(ROOT, 'docs', 'faults.md')).find(({ language }) => language === 'javascript');
  // Below the checkout, where Node finds the package itself and playwright-core.
  const file = path.join(t.testdir({ 'browser.test.mjs': block?.text ?? '' }), 'browser.test.mjs');
  const { status, stdout, stderr } = run(process.execPath, ['--test', file], {
    env: { ...process.env, NODE_OPTIONS: '', NODE_TEST_CONTEXT: undefined },
  });
  t.equal(status, 0, `${stdout}\n${stderr}`);
  t.match(stdout, /^(#|ℹ) pass 1$/m);
});
