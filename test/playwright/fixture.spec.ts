// SPDX-License-Identifier: MIT
/** Tests of `@playwright/test` that use the fixtures of a wire. fixture.test.ts runs them, and expects one to fail. */
import { createServer } from 'node:http';

import { expect, test as base } from '@playwright/test';
import { wireFixtures, type WireFixtures, type WireWorkerFixtures } from 'vnet-bpf/playwright';

interface Site {
  /** The address of a page with the title "here". */
  site: string;
}

const test = base.extend<WireFixtures, WireWorkerFixtures & Site>({
  ...wireFixtures,
  site: [
    async ({ workerWire }, use) => {
      const server = createServer((_request, response) => response.end('<title>here</title>'));
      await use(`http://${await workerWire.listen(server)}/`);
    },
    { scope: 'worker' },
  ],
});

test.use({
  launchOptions: { executablePath: '/usr/bin/chromium' },
  wireOptions: { wire: 'delay 50ms', seed: 5 },
});

test.beforeAll(({ workerWire }) => console.log(`network ${workerWire.lab.netns}`));

test('a page is on the wire, which is slow from the beginning', async ({ page, site, wire }) => {
  const begin = performance.now();
  await page.goto(site);
  expect(performance.now() - begin).toBeGreaterThan(200);
  expect(await page.title()).toBe('here');
  expect(wire.lab.nic.stats().rx.packets).toBeGreaterThan(5);
});

test('a test does what it likes to the wire', async ({ page, site, wire }) => {
  await wire.set(null);
  await wire.faults('tcp from client: reset', { seed: 6 });
  await expect(page.goto(site)).rejects.toThrow(/ERR_CONNECTION_/);
  expect((await wire.faultLog()).length).toBeGreaterThan(0);
  await wire.cut(60_000);
});

test('the next test has the wire of the beginning', async ({ page, site, wire }) => {
  expect(wire.lab.seed).toBe(5);
  const begin = performance.now();
  await page.goto(site);
  expect(performance.now() - begin).toBeGreaterThan(200);
  expect(await wire.faultLog()).toEqual([]);
});

test('a test that fails says how to repeat its faults', async ({ page, site, wire }) => {
  await wire.faults('tcp from server nth 1: drop', { seed: 11 });
  await page.goto(site);
  expect(await page.title()).toBe('there');
});

test('after it, another worker has another wire', async ({ page, site, wire }) => {
  await page.goto(site);
  expect(await page.title()).toBe('here');
  expect(await wire.faultLog()).toEqual([]);
});
