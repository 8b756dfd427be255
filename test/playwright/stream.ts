// SPDX-License-Identifier: MIT
/** What the tests of pages share: the browser, and waiting for the numbers that a page receives. */
import * as fs from 'node:fs';

import type { Page } from 'playwright-core';
import type { Test } from 'tap';
import type { Wire } from 'vnet-bpf/playwright';

import type { Fault } from '../../src/faults/log';
import { cannotRun, SLOW } from '../helpers/cli';

export const CHROMIUM = '/usr/bin/chromium';
export const skip = cannotRun || (fs.existsSync(CHROMIUM) ? false : 'needs Chromium: make test-playwright installs it');

const received = (page: Page): Promise<number[]> =>
  page.evaluate(() => (globalThis as unknown as { received: number[] }).received);

/** Waits until the page has received `count` more numbers. */
export async function streams(t: Test, page: Page, count: number): Promise<void> {
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
}

/**
 * Cuts the wire for 2 seconds, and waits until the page has received something after them. What was under way before
 * may still arrive at the page when they begin.
 */
export async function cut(t: Test, wire: Wire, page: Page): Promise<void> {
  await page.evaluate('longestSilence = 0');
  await wire.cut(2000);
  await page.waitForFunction('longestSilence > 1500', null, { timeout: 60_000 * SLOW });
  t.pass(`a silence of ${Math.round(await page.evaluate('longestSilence'))} ms`);
  await streams(t, page, 20);
}

/** Streams until there are `count` faults: a sender that has been held up puts several messages into a frame. */
export async function streamsUntil(t: Test, wire: Wire, page: Page, count: number): Promise<Fault[]> {
  let log: Fault[] = [];
  for (let round = 0; round < 10 && log.length < count; round++) {
    await streams(t, page, 50);
    log = await wire.faultLog();
  }
  t.ok(log.length >= count, `${log.length} faults`);
  return log;
}
