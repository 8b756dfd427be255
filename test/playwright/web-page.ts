// SPDX-License-Identifier: MIT
/** The page of `vnet-bpf web` in a browser: opening it, and looking at it in light and dark, wide and narrow. */
import * as fs from 'node:fs';

import { type Browser, chromium, type Page } from 'playwright-core';
import type { Test } from 'tap';

import { SLOW } from '../helpers/cli';
import { CHROMIUM } from './stream';

const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
/** A laptop, and a tablet upright. */
const WIDE = { width: 1280, height: 720 };
const SIZES = [WIDE, { width: 820, height: 1180 }];
/** A directory into which pictures of the page are put; none without it. */
const PICTURES = process.env['VNET_BPF_TEST_PICTURES'];

export interface Shown {
  page: Page;
  /** What the browser complains about. */
  complaints: string[];
}

/** Starts a browser until the test ends. */
export async function launched(t: Test, args: string[] = []): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args });
  t.teardown(() => browser.close());
  return browser;
}

/** Opens the page, and waits until it shows an interface that runs. @param complaints where the browser's are added */
export async function shown(browser: Browser, url: string, complaints: string[] = []): Promise<Shown> {
  const page = await browser.newPage({ viewport: WIDE });
  page.setDefaultTimeout(20_000 * SLOW);
  page.on('pageerror', ({ message }) => complaints.push(message));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  await page.goto(url);
  await page.locator('.state', { hasText: 'running' }).waitFor();
  return { page, complaints };
}

/** What axe finds wrong with the page, as it is now. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = (await page.evaluate('axe.run()')) as {
    violations: { id: string; nodes: { html: string }[] }[];
    passes: unknown[];
  };
  if (found.passes.length < 10) throw new Error('axe has looked at next to nothing');
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

/** Looks at the page as it is now, in every size and in both colours. */
export async function lookedAt(t: Test, page: Page, what: string): Promise<void> {
  for (const size of SIZES) {
    await page.setViewportSize(size);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(300);
      t.same(await violations(page), [], `axe: ${what}, ${colorScheme}, ${size.width} wide`);
      if (PICTURES !== undefined)
        await page.screenshot({ path: `${PICTURES}/${what}-${size.width}-${colorScheme}.png` });
    }
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), size.width, `${what}: ${size.width} wide`);
  }
  await page.setViewportSize(WIDE);
}
