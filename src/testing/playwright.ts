// SPDX-License-Identifier: MIT
/**
 * `vnet-bpf/playwright`: a browser on a wire, and fixtures for `@playwright/test`. Nothing here needs that package: what
 * its `test.extend()` takes is an object.
 */
import '../not-bundled';

import type { Browser, BrowserType, LaunchOptions } from 'playwright-core';

import { repeating } from './seed';
import { Wire, type WireOptions } from './wire';

export { Wire, type WireOptions } from './wire';

/** The fixtures of a test. */
export interface WireFixtures {
  /** The wire between the pages and their servers. It is as at its beginning when the next test begins. */
  wire: Wire;
}

/** The fixtures of a worker, which its tests share. */
export interface WireWorkerFixtures {
  /** Options of the wire, for `test.use()` or the configuration. */
  wireOptions: WireOptions;
  /** The same wire as in a test, for `beforeAll()` and for fixtures of a worker. */
  workerWire: Wire;
}

/** What `@playwright/test` has, as far as the fixtures here need it. */
interface OfPlaywright {
  playwright: Record<'chromium' | 'firefox' | 'webkit', BrowserType>;
  browserName: 'chromium' | 'firefox' | 'webkit';
  launchOptions: LaunchOptions;
}
interface TestResult {
  readonly status?: string | undefined;
  readonly expectedStatus: string;
  attach(name: string, options: { body: string; contentType: string }): Promise<void>;
}
type Use<T> = (value: T) => Promise<void>;
type OfWorker<T, Arguments> = [(others: Arguments, use: Use<T>) => Promise<void>, { scope: 'worker' }];

/** What `test.extend()` is given. */
export interface WireExtension {
  wireOptions: [WireOptions, { scope: 'worker'; option: true }];
  workerWire: OfWorker<Wire, Pick<WireWorkerFixtures, 'wireOptions'>>;
  browser: OfWorker<Browser, OfPlaywright & Pick<WireWorkerFixtures, 'workerWire'>>;
  wire: (others: Pick<WireWorkerFixtures, 'workerWire'>, use: Use<Wire>, test: TestResult) => Promise<void>;
}

/** How to repeat the faults, and which have happened, in the report of a test that has failed. */
async function attachFaults(wire: Wire, test: TestResult): Promise<void> {
  const { seed } = wire.lab;
  if (seed === null) return;
  await test.attach('seed', { body: repeating(seed), contentType: 'text/plain' });
  const lines = (await wire.faultLog()).map((fault) => JSON.stringify(fault));
  await test.attach('faults.jsonl', { body: lines.join('\n'), contentType: 'text/plain' });
}

/**
 * Fixtures for `test.extend<WireFixtures, WireWorkerFixtures>(wireFixtures)`: each worker has a wire, the browser of all
 * its pages is on it, and a test gets it as `wire`. `launchOptions.executablePath` names the browser, unless Playwright
 * has installed its own.
 */
export const wireFixtures: WireExtension = {
  // Playwright reads the names in the braces of the first parameter: they are the fixtures that this one needs.
  wireOptions: [{}, { scope: 'worker', option: true }],
  workerWire: [
    async ({ wireOptions }, use) => {
      const wire = await Wire.create(wireOptions);
      try {
        await use(wire);
      } finally {
        await wire.close();
      }
    },
    { scope: 'worker' },
  ],
  browser: [
    async ({ playwright, browserName, launchOptions, workerWire }, use) => {
      await use(await workerWire.launch(playwright[browserName], launchOptions));
    },
    { scope: 'worker' },
  ],
  wire: async ({ workerWire }, use, test) => {
    await use(workerWire);
    if (test.status !== test.expectedStatus) await attachFaults(workerWire, test);
    await workerWire.reset();
  },
};
