// SPDX-License-Identifier: MIT
/** The site that `make docs` makes, in Chromium and from the disk: it asks for nothing, and its search works. */
import { spawnSync } from 'node:child_process';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';

import { chromium } from 'playwright-core';
import t from 'tap';

import { ROOT } from '../helpers/cli';
import { CHROMIUM, skip } from './stream';

t.setTimeout(300_000);

t.test('pages, search, light and dark', { skip }, async (t) => {
  const directory = t.testdir({});
  const made = spawnSync(process.execPath, [path.join(ROOT, 'dist', 'setup', 'site.js'), directory], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  t.equal(made.status, 0, made.stderr + made.stdout);
  const browser = await chromium.launch({ executablePath: CHROMIUM });
  t.teardown(() => browser.close());
  const page = await browser.newPage();
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  const errors: string[] = [];
  page.on('pageerror', ({ message }) => errors.push(message));
  const open = (name: string) => page.goto(pathToFileURL(path.join(directory, name)).href);

  await open('index.html');
  await page.locator('#tsd-nav-container').getByText('Reference', { exact: true }).waitFor();
  await page.locator('#tsd-search-trigger').click();
  await page.locator('#tsd-search-input').fill('watermark');
  const found = page.locator('#tsd-search-results a');
  await found.first().waitFor();
  t.ok((await found.count()) > 2, 'it finds pages by their text');
  await found.getByText('Backpressure').click();
  await page.getByRole('heading', { name: 'Backpressure', level: 1 }).waitFor();
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    const background = await page.evaluate(() => {
      const { document, getComputedStyle } = globalThis as unknown as {
        document: { body: unknown };
        getComputedStyle(element: unknown): { backgroundColor: string };
      };
      return getComputedStyle(document.body).backgroundColor;
    });
    const [red = 0] = (/\d+/.exec(background) ?? []).map(Number);
    t.equal(red > 128 ? 'light' : 'dark', scheme, background);
  }
  for (const name of ['docs/architecture.html', 'docs/cli.html', 'src/examples.html', 'modules.html']) await open(name);
  t.same(
    asked.filter((url) => !url.startsWith('file:') && !url.startsWith('data:')),
    [],
    'nothing is asked of anybody',
  );
  t.same(errors, [], 'no script fails');
});
