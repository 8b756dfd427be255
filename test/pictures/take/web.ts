// SPDX-License-Identifier: MIT
/**
 * Takes the pictures of the page of `vnet-bpf web` in Chromium, from an interface at work: `make pictures`. Figures in
 * them are those of the machine that took them, so they are looked at by people and not compared.
 */
import * as path from 'node:path';

import { chromium } from 'playwright-core';
import t from 'tap';

import { attachedIn, cannotRun, cliOk, ROOT } from '../../helpers/cli';
import { startFlood } from '../../helpers/flood';
import { quietNetns } from '../../helpers/netns';
import { startWeb } from '../../helpers/web-client';
import { CHROMIUM } from '../../playwright/stream';

const ADDRESS = '10.77.0.1';
const SIZE = { width: 1280, height: 720 };
/** Datagrams a second, of these many bytes; the rules lose some of them. */
const LOAD = { rate: 20_000, bytes: 600 };
const RULES = 'udp every 500: drop; icmp from client nth 2: drop';
/** Until the charts of half a minute are nearly full. */
const RUNS_MS = 27_000;

t.setTimeout(240_000);

t.test('docs/web-light.png and docs/web-dark.png', { skip: cannotRun }, async (t) => {
  const options = ['--addr', `${ADDRESS}/24`, '--ring-size', '256K', '--faults', RULES, '--seed', '7'];
  const nic = attachedIn(t, quietNetns(t), options);
  const { url } = await startWeb(t, '--netns', nic.netns);
  const browser = await chromium.launch({ executablePath: CHROMIUM });
  t.teardown(() => browser.close());
  const page = await browser.newPage({ viewport: SIZE, deviceScaleFactor: 1.5 });
  await page.goto(url);
  await page.getByRole('button', { name: '30 s' }).click();
  const { sender, receiver } = await startFlood(t, nic.netns, { address: ADDRESS, ...LOAD });
  await page.waitForTimeout(RUNS_MS);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(500);
    await page.screenshot({ path: path.join(ROOT, 'docs', `web-${colorScheme}.png`) });
  }
  await sender.stop();
  await receiver.stop();
  t.match(cliOk(['stats', 'vnet0', '--netns', nic.netns]), /balanced/);
});
