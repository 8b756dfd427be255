// SPDX-License-Identifier: MIT
/** The page of `vnet-bpf web` in a browser, with an interface at work. `make test-playwright` runs it. */
import type { Page } from 'playwright-core';
import t from 'tap';

import { type Attached, attachedIn, SLOW } from '../helpers/cli';
import { controllerPid } from '../helpers/controller';
import { inside, quietNetns, run } from '../helpers/netns';
import { startWeb } from '../helpers/web-client';
import { skip } from './stream';
import { launched, shown, violations } from './web-page';

const ADDRESS = '10.77.0.1';

t.setTimeout(300_000 * SLOW);

function ping({ netns }: Attached, ...args: string[]): string {
  const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
  return run(nsenter, [...rest, 'ping', '-i', '0.1', '-W', '1', ...args, ADDRESS]).stdout;
}

const group = (page: Page, name: string): ReturnType<Page['locator']> => page.getByRole('group', { name, exact: true });

t.test('the page shows an interface at work', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, '--queue-packets', '16']);
  const { server, url } = await startWeb(t, '--netns', nic.netns);
  const { page, complaints } = await shown(await launched(t), url);
  t.equal(new URL(page.url()).origin, new URL(url).origin);

  await t.test('frames, without a mouse', async (t) => {
    await page.getByRole('tab', { name: 'Charts' }).focus();
    await page.keyboard.press('ArrowRight');
    await page.getByText('No frame has passed').waitFor();
    // A recording begins a moment after it was asked for.
    const pings = setInterval(() => ping(nic, '-c', '1'), 500);
    await page.locator('.frame').first().waitFor();
    clearInterval(pings);
    await page.getByRole('listbox', { name: 'Frames' }).focus();
    await page.keyboard.press('End');
    const type = page.locator('.field', { hasText: 'echo' });
    t.match(await type.textContent(), /^Type ?[08] \(echo re/);
    await type.focus();
    await page.keyboard.press('Enter');
    t.equal(await page.locator('.hex .marked').count(), 1, 'the type is one byte');
    t.match(await page.locator('.hex .marked').textContent(), /^0[08]$/);
  });
  await t.test('a wrong filter is refused beside it', async (t) => {
    await page.getByLabel('Filter').fill('tcp portt');
    await page.keyboard.press('Enter');
    t.match(await page.getByRole('alert').filter({ hasText: 'portt' }).textContent(), /tcp port 80/, 'with a hint');
    await page.getByLabel('Filter').fill('');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').filter({ hasText: 'portt' }).waitFor({ state: 'hidden' });
  });
  await t.test('a fault that the page sets makes a ping lose', async (t) => {
    const faults = group(page, 'Faults');
    await faults.getByLabel('Rules').fill('icmp: drop');
    await faults.getByRole('button', { name: 'Set' }).click();
    await faults.locator('.in-place', { hasText: 'icmp: drop' }).waitFor();
    t.match(ping(nic, '-c', '3'), /100% packet loss/);
    await page.locator('.losses', { hasText: 'hook or faults' }).waitFor();
    await faults.getByLabel('Rules').fill('icmp: dorp');
    await faults.getByRole('button', { name: 'Set' }).click();
    const alert = faults.getByRole('alert').filter({ hasText: 'dorp' });
    await alert.waitFor();
    t.match(await alert.textContent(), /did you mean drop/);
    await faults.getByRole('button', { name: 'Clear' }).click();
    await faults.getByText('No rule is in place.').waitFor();
    t.match(ping(nic, '-c', '3'), / 0% packet loss/);
  });
  await t.test('an impairment, and the carrier', async (t) => {
    const impairment = group(page, 'Impairment');
    await impairment.getByLabel('Profile').selectOption('satellite');
    await impairment.getByRole('button', { name: 'Set' }).click();
    await impairment.locator('.in-place', { hasText: 'delay 280ms' }).waitFor();
    await impairment.getByRole('button', { name: 'Clear' }).click();
    await impairment.getByText('No impairment is in place.').waitFor();
    const carrier = group(page, 'Carrier and cut');
    await carrier.getByRole('button', { name: 'Down', exact: true }).click();
    await page.locator('.state', { hasText: 'carrier down' }).waitFor();
    await carrier.getByRole('button', { name: 'Up' }).click();
    await page.locator('.state', { hasText: 'running' }).waitFor();
    t.pass();
  });
  await t.test('a queue that stops is seen to stop, and to wake', async (t) => {
    await page.getByRole('tab', { name: 'Charts' }).click();
    const controller = controllerPid(nic.netns, nic.iface);
    process.kill(controller, 'SIGSTOP');
    try {
      ping(nic, '-c', '30', '-i', '0.01', '-w', '1');
      await page.locator('.ring.stopped', { hasText: 'stopped' }).waitFor();
      t.match(await page.locator('.state').textContent(), /queue stopped/);
    } finally {
      process.kill(controller, 'SIGCONT');
    }
    await page.locator('.ring.woken', { hasText: 'woken' }).waitFor();
    await page.locator('.state', { hasText: 'running' }).waitFor();
  });
  await t.test('axe finds nothing wrong, in light and dark', async (t) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const name of ['Charts', 'Frames']) {
        await page.getByRole('tab', { name }).click();
        await page.waitForTimeout(500);
        t.same(await violations(page), [], `${name}, ${colorScheme}`);
      }
    }
    for (const width of [1280, 820]) {
      await page.setViewportSize({ width, height: 720 });
      t.equal(await page.evaluate('document.documentElement.scrollWidth'), width, `all of it is ${width} wide`);
    }
  });
  t.same(complaints, [], 'the browser has no complaints');

  await t.test('a page says that its connection is lost', async (t) => {
    server.kill();
    await page.getByText('The connection to the server is lost.').waitFor();
    t.ok(await group(page, 'Faults').getByLabel('Rules').isDisabled());
  });
});

t.test('a page that may only look, and one whose token is wrong', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), []);
  const { url } = await startWeb(t, '--netns', nic.netns, '--read-only');
  const browser = await launched(t);
  const { page } = await shown(browser, url);
  t.equal(new URL(page.url()).origin, new URL(url).origin);
  await page.getByText('Read-only: the server was started with --read-only.').waitFor();
  t.ok(await page.getByRole('button', { name: 'Down for 2 s' }).isDisabled());
  const other = await browser.newPage();
  await other.goto(url.replace(/#.*/, '#wrong'));
  await other.getByText('The server does not accept this page.').waitFor();
});
