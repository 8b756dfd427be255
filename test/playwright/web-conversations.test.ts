// SPDX-License-Identifier: MIT
/** Conversations in the page of `vnet-bpf web`, in a browser: one with a retransmission, and the file of its frames. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';

import { attachedIn, attachInBackground, type Attached, cliOk, SLOW } from '../helpers/cli';
import { eventually, killController } from '../helpers/controller';
import { inside, okIn, quietNetns, run } from '../helpers/netns';
import { tracePin, withoutTshark } from '../helpers/recording';
import { startWeb } from '../helpers/web-client';
import { skip } from './stream';
import { launched, lookedAt, shown } from './web-page';

const ADDRESS = '10.77.0.1';
const PORT = 8080;
/** Loses one segment of the client's data, once. */
const RULES = `tcp port ${PORT} from client at-byte 3000: drop; icmp from client nth 2: drop; udp port 9 nth 1: delay 30ms unordered`;

t.setTimeout(300_000 * SLOW);

/** One request of 6,000 bytes in pieces of 1,000 bytes, and its answer. */
const REQUEST = `
const net = require('node:net');
const server = net.createServer((socket) => {
  let bytes = 0;
  socket.on('data', (data) => {
    bytes += data.length;
    if (bytes === 6000) socket.end('thanks for ' + bytes);
  });
}).listen(${PORT}, '${ADDRESS}', () => {
  const socket = net.connect(${PORT}, '${ADDRESS}').setNoDelay().on('connect', async () => {
    for (let i = 0; i < 6; i++) {
      socket.write(Buffer.alloc(1000, 97 + i));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  socket.on('data', (data) => process.stdout.write(data)).on('close', () => server.close());
});`;

/** Two datagrams of one socket. */
const DATAGRAMS = `
const socket = require('node:dgram').createSocket('udp4');
socket.send('first', 9, '${ADDRESS}', () =>
  setTimeout(() => socket.send('second', 9, '${ADDRESS}', () => setTimeout(() => socket.close(), 100)), 5));`;

const request = ({ netns }: Attached): string => okIn(netns, process.execPath, ['-e', REQUEST]);

function ping({ netns }: Attached, count: number): string {
  const [nsenter, ...rest] = inside(netns) as [string, ...string[]];
  return run(nsenter, [...rest, 'ping', '-i', '0.2', '-W', '1', '-c', String(count), ADDRESS]).stdout;
}

const recorded = (nic: Attached): Promise<boolean> => eventually(() => fs.existsSync(tracePin(nic)));

async function until(holds: () => Promise<boolean>): Promise<boolean> {
  for (const end = Date.now() + 20_000 * SLOW; !(await holds());) {
    if (Date.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return true;
}

/** Opens the view without a mouse, and waits until frames are recorded. */
async function conversations(page: Page, nic: Attached): Promise<void> {
  await page.getByRole('tab', { name: 'Charts' }).focus();
  for (const name of ['Frames', 'Conversations']) {
    await page.keyboard.press('ArrowRight');
    await page.getByRole('tab', { name, selected: true }).waitFor();
  }
  await page.getByText('No conversation has been seen').waitFor();
  if (!(await recorded(nic))) throw new Error('no recording begins');
  await page.waitForTimeout(200);
}

/** The rows of the ladder, as a screen reader reads them. */
const rowsOf = (page: Page): Promise<string[]> =>
  page
    .locator('.ladder tbody tr:not(.between)')
    .evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent?.trim()).join(' | ')));

async function downloaded(t: Test, page: Page): Promise<string> {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).press('Enter')]); // prettier-ignore
  t.match(download.suggestedFilename(), /^vnet0-\d{8}-\d{6}\.pcapng$/);
  const file = path.join(t.testdir(), 'shown.pcapng');
  await download.saveAs(file);
  return file;
}

t.test('a conversation with a lost segment and its retransmission', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, '--faults', RULES, '--seed', '7']);
  const { server, url } = await startWeb(t, '--netns', nic.netns);
  const { page, complaints } = await shown(await launched(t), url);
  await conversations(page, nic);

  await t.test('the ladder shows it, in words and arrows', async (t) => {
    t.equal(request(nic), 'thanks for 6000');
    const option = page.getByRole('option', { name: `to ${ADDRESS}:${PORT}` });
    await option.filter({ hasText: 'closed' }).waitFor();
    t.match(await option.textContent(), /1 lost, 1 retransmission/);
    const rows = await rowsOf(page);
    t.match(rows[0], /^0\.000 \| client to server: SYN seq 0, window [\d,]+ \|.*arrives after \d+\.\d+ ms$/);
    t.match(rows[1], /server to client: SYN ACK seq 0, ack 1, window/);
    const lost = rows.findIndex((row) => row.includes('lost: '));
    t.match(rows[lost], /client to server: PSH ACK, 1,000 bytes seq 3,001, ack 1, window .*lost: dropped by faults/);
    t.match(rows[lost], `rule 1: tcp port ${PORT} from client at-byte 3000: drop`);
    t.notMatch(rows[lost], 'arrives', 'it does not arrive');
    const again = rows.filter((row) => /retransmission of frame \d+, [\d.]+ ms after it/.test(row));
    t.equal(again.length, 1);
    t.match(again[0], /client to server: .*seq 3,001/);
    t.match(rows.slice(-4).join('\n'), /FIN/);
    t.equal(await page.locator('.ladder .cross').count(), 1, 'one arrow does not reach the other side');
    t.equal(await page.locator('tr.has-again').count(), 1);
  });
  await t.test('a ping whose second request is lost, and datagrams out of order, by the keyboard', async (t) => {
    t.match(ping(nic, 3), '33.3333% packet loss');
    okIn(nic.netns, process.execPath, ['-e', DATAGRAMS]);
    await page.getByRole('listbox', { name: 'Conversations' }).focus();
    await page.getByRole('option', { name: /^ICMP echo/ }).waitFor();
    await page.keyboard.press('End');
    for (let i = 0; i < 20 && !(await page.getByRole('region', { name: /^Frames of ICMP echo/ }).isVisible()); i++)
      await page.keyboard.press('ArrowUp');
    const ladder = page.getByRole('region', { name: /^Frames of ICMP echo/ });
    await ladder.waitFor();
    const rows = await rowsOf(page);
    t.match(rows, [
      /client to server: echo request 1/,
      /server to client: echo reply 1.*ms after the request/,
      /client to server: echo request 2.*lost: dropped by faults/,
      /client to server: echo request 3/,
      /server to client: echo reply 3/,
    ]);
    t.equal(rows.length, 5);
    const udp = page.getByRole('option', { name: new RegExp(`^UDP .* to ${ADDRESS}:9`) });
    await udp.click();
    await page.getByRole('region', { name: /^Frames of UDP/ }).waitFor();
    t.match(
      (await rowsOf(page))[0],
      /client to server: 5 bytes \|.*out of order: arrives after frame \d+.*delayed by faults/,
    );
    await page.getByRole('listbox', { name: 'Conversations' }).focus();
    await page.keyboard.press('End');
    await page.getByRole('region', { name: /^Frames of TCP/ }).waitFor();
  });
  await t.test('pause keeps it as it is', async (t) => {
    await page.getByRole('button', { name: 'Pause' }).press('Enter');
    const before = await page.getByRole('option').count();
    ping(nic, 1);
    await page.waitForTimeout(500);
    t.equal(await page.getByRole('option').count(), before);
    await page.getByRole('button', { name: 'Resume' }).press('Enter');
    await until(async () => (await page.getByRole('option').count()) > before);
    t.equal(await page.getByRole('option').count(), before + 1);
  });
  await lookedAt(t, page, 'conversations');

  await t.test('the file of the frames that are shown', { skip: withoutTshark() }, async (t) => {
    await page.getByLabel('Filter').fill('icmp');
    await page.keyboard.press('Enter');
    await page.getByText('No conversation has been seen').waitFor();
    ping(nic, 3);
    await until(async () => (await rowsOf(page)).length >= 5);
    const file = await downloaded(t, page);
    const fields = ['-T', 'fields', '-e', 'icmp.type', '-e', 'frame.comment'];
    const lines = run('tshark', ['-r', file, ...fields])
      .stdout.trim()
      .split('\n');
    t.equal(lines.length, (await rowsOf(page)).length, 'as many as are shown, and only those');
    for (const line of lines) t.match(line, /^[08]\t(captured|held)/, 'with what became of each');
    t.match(run('capinfos', [file]).stdout, /Capture comment|Number of packets/);
    const before = JSON.parse(cliOk(['stats', 'vnet0', '--netns', nic.netns, '--json'])) as { tx: { packets: number } };
    t.match(cliOk(['replay', file, '--into', 'vnet0', '--netns', nic.netns]), new RegExp(`${lines.length} frames`));
    const after = JSON.parse(cliOk(['stats', 'vnet0', '--netns', nic.netns, '--json'])) as { tx: { packets: number } };
    t.ok(after.tx.packets >= before.tx.packets + lines.length, 'replay sends them again');
  });

  await t.test('the controller is killed, and adopted: the page says so, and goes on', async (t) => {
    await killController(nic);
    await page.locator('.state', { hasText: 'crashed' }).waitFor();
    await page.getByText('the process that loops it has ended').waitFor();
    attachInBackground(['vnet0', '--netns', nic.netns, '--addr', `${ADDRESS}/24`]);
    await page.locator('.state', { hasText: 'running' }).waitFor();
    await page.getByText('the process that loops it has ended').waitFor({ state: 'hidden' });
    await page.getByRole('alert').filter({ hasText: /./ }).waitFor({ state: 'hidden' });
    t.ok(await recorded(nic));
    const before = (await page.locator('.tools .hint').textContent()) ?? '';
    await until(async () => {
      ping(nic, 1);
      return (await page.locator('.tools .hint').textContent()) !== before;
    });
    t.not(await page.locator('.tools .hint').textContent(), before, 'frames are seen again');
  });
  t.same(complaints, [], 'the browser has no complaints');

  await t.test('the server ends: the page says so, and keeps what it has', async (t) => {
    server.kill();
    await page.getByText('The connection to the server is lost.').waitFor();
    t.ok((await rowsOf(page)).length > 0);
    t.ok(await downloaded(t, page), 'the file can still be made');
  });
});

t.test('the round trip is measured beside the other charts when asked for', { skip }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);
  const { url } = await startWeb(t, '--netns', nic.netns);
  const { page } = await shown(await launched(t), url);
  await page.getByText('“Measure” records frames meanwhile').waitFor();
  t.notOk(fs.existsSync(tracePin(nic)), 'nothing is recorded unasked');
  await page.getByRole('button', { name: 'Measure' }).press('Enter');
  t.ok(await recorded(nic));
  const median = page.locator('figure', { hasText: 'Round trip' }).locator('.value b').first();
  await until(async () => {
    ping(nic, 2);
    return /\d/.test((await median.textContent()) ?? '');
  });
  t.match(await median.textContent(), /^[\d.,]+/);
  await page.getByRole('button', { name: 'Measure' }).press('Enter');
  t.ok(await eventually(() => !fs.existsSync(tracePin(nic))), 'and the recording ends');
});
