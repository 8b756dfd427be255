// SPDX-License-Identifier: MIT
/** What the tests of pages share: the browser, and waiting for the numbers that a page receives. */
import * as fs from 'node:fs';

import type { Page } from 'playwright-core';
import type { Test } from 'tap';

import { cannotRun, SLOW } from '../helpers/cli';

export const CHROMIUM = '/usr/bin/chromium';
export const skip = cannotRun || (fs.existsSync(CHROMIUM) ? false : 'needs Chromium: make test-playwright installs it');

const received = (page: Page): Promise<number[]> =>
  page.evaluate(() => (globalThis as unknown as { received: number[] }).received);

/** Waits until the page has received `count` more numbers; returns how long that took, in milliseconds. */
export async function streams(t: Test, page: Page, count: number): Promise<number> {
  const begin = performance.now();
  const before = (await received(page)).length;
  for (const end = begin + 60_000 * SLOW; (await received(page)).length < before + count;) {
    if (performance.now() > end) {
      t.fail(`the stream stands still at ${(await received(page)).length}`);
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const numbers = await received(page);
  t.ok(
    numbers.every((number, i) => number === i),
    `${numbers.length} messages, each once and in order`,
  );
  return performance.now() - begin;
}
