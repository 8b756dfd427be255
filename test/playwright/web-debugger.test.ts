// SPDX-License-Identifier: MIT
/** The debugger of the page of `vnet-bpf web` in a browser, on frames of a ping and of UDP. */
import type { Browser, Locator, Page } from 'playwright-core';
import t, { type Test } from 'tap';

import { Background } from '../helpers/background';
import { type Attached, attachedIn, checkAccounting, cli, SLOW } from '../helpers/cli';
import { checkReceived, startFlood } from '../helpers/flood';
import { quietNetns } from '../helpers/netns';
import { UdpPair } from '../helpers/udp-pair';
import { startWeb } from '../helpers/web-client';
import { skip } from './stream';
import { launched, lookedAt, shown } from './web-page';

const ADDRESS = '10.77.0.1';
const PAUSED_MS = 10_000;

t.setTimeout(300_000 * SLOW);

/** What browsers complain about. */
const complaints: string[] = [];

/** Opens the page at its debugger. */
async function debuggerShown(browser: Browser, url: string): Promise<Page> {
  const { page } = await shown(browser, url, complaints);
  await page.getByRole('tab', { name: 'Debugger' }).click();
  return page;
}

const button = (page: Page, name: string): Locator => page.getByRole('button', { name, exact: true });
const status = (page: Page, text: string): Promise<void> =>
  page.getByRole('status').filter({ hasText: text }).first().waitFor();
const ping = (t: Test, { netns }: Attached, count: number, ...args: string[]): Background =>
  Background.start(t, netns, 'ping', ['-c', String(count), '-i', '0.2', '-W', '600', ...args, ADDRESS]);

t.test('frames are held, dropped and edited at a click, and the ping shows it', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);
  const { url } = await startWeb(t, '--netns', nic.netns);
  const page = await debuggerShown(await launched(t), url);
  await lookedAt(t, page, 'running');
  await page.getByLabel('Hold only').fill('icmp');
  await button(page, 'Pause the loop').click();
  await page.locator('.state', { hasText: 'loop paused' }).waitFor();
  await status(page, 'No frame waits.');
  const pinging = ping(t, nic, 3, '-s', '120');
  await status(page, 'Frame 1 is held');
  await lookedAt(t, page, 'held');
  await button(page, 'Drop').click();
  await status(page, 'sequence 2');
  await button(page, 'Step').click();
  await page
    .getByRole('status')
    .filter({ hasText: /Frame 3 is held.*sequence 3/ })
    .waitFor();
  await button(page, 'Step').click();
  await status(page, 'echo reply');
  const ttl = page.getByRole('group', { name: 'IPv4' }).getByLabel('Time to live');
  await ttl.fill('700');
  await ttl.press('Enter');
  const alert = page.getByRole('alert').filter({ hasText: 'ttl "700"' });
  t.match(await alert.textContent(), /from 0 to 255/);
  await ttl.fill('7');
  // What was typed counts, although the field is left for a button.
  await button(page, 'Step').click();
  await status(page, 'Frame 5 is held');
  await alert.waitFor({ state: 'hidden' });
  await button(page, 'Resume the loop').click();
  await page.locator('.state', { hasText: 'running' }).waitFor();
  await pinging.says(/icmp_seq=3/);
  await pinging.stop();
  t.match(pinging.output, /icmp_seq=2 ttl=7 .*\n.*icmp_seq=3 ttl=64 /);
  t.match(pinging.output, /3 packets transmitted, 2 received/);
  t.match((await nic.atRest()).hooks, { dropped: 1, errors: 0 });
  t.equal(cli(['stats', 'vnet0', '--netns', nic.netns, '--check']).status, 0, 'the frame accounting balances');
  t.same(complaints, []);
});

t.test('without a mouse: a field, bytes, a copy; an edit that is refused keeps the frame', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);
  const { url } = await startWeb(t, '--netns', nic.netns);
  const page = await debuggerShown(await launched(t), url);
  const isFocused = (locator: Locator): Promise<boolean> =>
    locator.evaluate((element) => element === element.ownerDocument.activeElement);
  await page.getByLabel('Hold only').focus();
  await page.keyboard.type('udp');
  await page.keyboard.press('Enter');
  await status(page, 'No frame waits.');
  const pair = UdpPair.open(t, nic.netns, ADDRESS);
  const sent = pair.send(300);
  await status(page, 'Frame 1 is held');
  await button(page, 'Step').focus();
  t.ok(await isFocused(button(page, 'Step')), 'a button keeps the focus while it can do nothing');
  const port = page.getByRole('group', { name: 'UDP' }).getByLabel('Source port');
  await port.focus();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('70000');
  await button(page, 'Step').click();
  await page.getByRole('alert').filter({ hasText: 'source-port "70000"' }).waitFor();
  await status(page, 'Frame 1 is held');
  t.same(await pair.receive(1, 300), [], 'a frame does not pass without the edit that was typed before');
  await port.focus();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('7');
  await page.keyboard.press('Enter');
  await status(page, 'port 7 >');
  await page.getByLabel('Offset').fill('50');
  await page.getByRole('form', { name: 'Write bytes' }).getByLabel('Bytes').fill('68 65 6c 6c 6f');
  await page.keyboard.press('Enter');
  await page.locator('.bytes', { hasText: 'hello' }).waitFor();
  await button(page, 'Inject a copy').focus();
  await page.keyboard.press('Enter');
  const edited = Buffer.from(sent);
  edited.write('hello', 50 - 42);
  t.same(await pair.receive(1), [edited], 'a copy is received while the frame is held');
  await button(page, 'Undo edits').focus();
  await page.keyboard.press('Enter');
  await page.locator('.edited').waitFor({ state: 'detached' });
  await button(page, 'Step').focus();
  await page.keyboard.press('Enter');
  t.same(await pair.receive(1), [sent], 'and the frame as it was');
  await button(page, 'Resume the loop').focus();
  await page.keyboard.press('Enter');
  await button(page, 'Pause the loop').waitFor();
  await page.waitForTimeout(100);
  t.ok(await isFocused(button(page, 'Pause the loop')), 'the focus goes where the next step is');

  await page.getByRole('form', { name: 'Inject a frame' }).getByLabel('Inject').fill('ff ff');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'a frame of 2 bytes' }).waitFor();
  await page.getByRole('tab', { name: 'Frames' }).click();
  await page.getByText('No frame has passed').waitFor();
  for (let i = 0; i < 20 && (await page.locator('.frame').count()) === 0; i++) {
    pair.send(100);
    await page.waitForTimeout(200);
  }
  const { injected } = nic.stats().hooks;
  await page.locator('.frame').first().click();
  await button(page, 'Inject a copy').click();
  await status(page, 'injected');
  t.equal((await nic.atRest()).hooks.injected, injected + 1, 'a frame of the list is injected');
  t.same(complaints, []);
});

t.test('TCP flags are buttons: a connection that is accepted looks refused', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);
  const { url } = await startWeb(t, '--netns', nic.netns);
  const page = await debuggerShown(await launched(t), url);
  const node = (program: string): Background => Background.start(t, nic.netns, process.execPath, ['-e', program]);
  const server = node(`require('net').createServer().listen(80, () => console.log('listens'))`);
  await server.says(/listens/);
  await page.getByLabel('Hold only').fill('tcp');
  await button(page, 'Pause the loop').click();
  await status(page, 'No frame waits.');
  const client = node(`require('net').connect(80, '${ADDRESS}').on('error', ({ code }) => console.log(code))`);
  await status(page, 'SYN, sequence');
  const flag = (name: string): Locator => page.getByRole('group', { name: 'Flags' }).getByRole('button', { name });
  t.equal(await flag('SYN').getAttribute('aria-pressed'), 'true');
  await lookedAt(t, page, 'tcp');
  // The client has sent its SYN again meanwhile.
  const summary = page.locator('.about');
  while (!(await summary.textContent())?.includes('SYN ACK')) {
    await button(page, 'Step').click();
    await page.waitForTimeout(100);
  }
  await flag('SYN').click();
  await page
    .getByRole('status')
    .filter({ hasText: /, ACK, sequence/ })
    .waitFor();
  await flag('RST').click();
  await page
    .getByRole('status')
    .filter({ hasText: /, RST ACK, sequence/ })
    .waitFor();
  await button(page, 'Step').click();
  await client.says(/ECONNREFUSED/);
  t.same(complaints, []);
});

t.test(
  'two pages: one steers, the other sees it and takes over; a pause of 10 s loses nothing',
  { skip },
  async (t) => {
    const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, '--ring-size', '256K']);
    const { url } = await startWeb(t, '--netns', nic.netns);
    const browser = await launched(t);
    const [one, two] = [await debuggerShown(browser, url), await debuggerShown(browser, url)] as const;
    const { sender, receiver } = await startFlood(t, nic.netns, { address: ADDRESS, bytes: 200, rate: 2000 });
    await button(one, 'Pause the loop').click();
    await status(two, 'Frame 1 is held');
    t.match(await two.locator('.steers').textContent(), 'page 1 steers');
    await two.locator('.state', { hasText: 'paused by page 1' }).waitFor();
    for (const name of ['Step', 'Drop', 'Resume the loop', 'Pause the loop', 'Take control', 'Inject'])
      t.equal(await button(two, name).count(), 0, `the page that watches has no ${name}`);
    t.equal(await two.getByLabel('Time to live').count(), 0, 'nor fields to type in');
    await lookedAt(t, two, 'watching');
    await one.waitForTimeout(PAUSED_MS);
    await button(one, 'Let go').click();
    await button(two, 'Take control').click();
    await two.locator('.steers', { hasText: 'You steer (page 2)' }).waitFor();
    await one.locator('.steers', { hasText: 'page 2 steers' }).waitFor();
    await two.getByLabel('Frames to pass').fill('100');
    await button(two, 'Pass').click();
    await status(one, 'Frame 2 is held');
    t.match(await one.locator('.tools .hint').textContent(), /^100 passed, 0 dropped$/);
    await two.close();
    await one.locator('.state', { hasText: 'running' }).waitFor();
    await button(one, 'Pause the loop').waitFor();
    await one.waitForTimeout(300);
    const { sent } = await sender.stop();
    const after = await nic.atRest();
    checkReceived(t, await receiver.stop(), sent);
    checkAccounting(t, nic, after);
    t.same(complaints, []);
  },
);

t.test('a page that may only look pauses nothing', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), []);
  const { url } = await startWeb(t, '--netns', nic.netns, '--read-only');
  const page = await debuggerShown(await launched(t), url);
  t.ok(await button(page, 'Pause the loop').isDisabled());
  t.equal(await button(page, 'Inject').count(), 0);
  await page.getByText('Read-only: this page shows').waitFor();
});
