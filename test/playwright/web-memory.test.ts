// SPDX-License-Identifier: MIT
/**
 * 1 GB of frames goes through the loop while a page shows them in Chromium, while another one reads slowly, and a third
 * does not read at all: nothing grows without bound. `docs/web.md` has the figures.
 */
import * as fs from 'node:fs';

import type { CDPSession, Page } from 'playwright-core';
import t from 'tap';

import { attachedIn, checkAccounting, SLOW } from '../helpers/cli';
import { controllerPid } from '../helpers/controller';
import { startFlood } from '../helpers/flood';
import { quietNetns } from '../helpers/netns';
import { closed, type Opened, opened, startWeb, webAddress } from '../helpers/web-client';
import { skip } from './stream';
import { launched, shown } from './web-page';

const ADDRESS = '10.77.0.1';
/** Bytes of payload, such that a frame has 1,000 bytes; a million of them are 1 GB. */
const PAYLOAD_BYTES = 958;
const FRAME_BYTES = 1000;
const FRAMES = Number(process.env['VNET_BPF_TEST_FRAMES_SHOWN'] ?? 1_000_000);
/** A rate that the loop keeps up with beside a browser, on two processors. */
const RATE = 25_000;
/** Milliseconds between two times at which the slow page reads. */
const SLOW_READ_MS = 3000;
/** Connections of the flood: as many conversations as the page has to tell apart. */
const FLOWS = 64;
/** What may be taken beyond what was there after the first quarter of the frames, in MiB. */
const GROWTH_MIB = { server: 48, controller: 24, page: 32 };
/** Elements of a page: a ladder has 400 rows, of 13 elements each. */
const ELEMENTS_MAX = 8000;

t.setTimeout(600_000 * SLOW);

const residentMib = (pid: number): number =>
  Number(/^VmRSS:\s*(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** Memory that the page's objects take, in MiB, after those that nobody needs any more are gone. */
async function heapMib(session: CDPSession): Promise<number> {
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  return usedSize / 2 ** 20;
}

/** A page beside the one in the browser that wants all frames, and does not read them yet. */
async function reader(url: string): Promise<Opened> {
  const page = await opened(webAddress(url));
  page.say({ type: 'watch', interface: 'vnet0', frames: { filter: '' } });
  await page.next('stats');
  page.page.pause();
  return page;
}

const elements = (page: Page): Promise<number> => page.evaluate('document.querySelectorAll("*").length');

for (const view of ['Frames', 'Conversations']) {
  t.test(`1 GB of frames with the view "${view}"`, { skip }, async (t) => {
    const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);
    const { server, url } = await startWeb(t, '--netns', nic.netns);
    const { page, complaints } = await shown(await launched(t), url);
    await page.getByRole('tab', { name: view }).click();
    // A filter has all frames recorded, not only a sample.
    await page.getByLabel('Filter').fill('udp');
    await page.getByLabel('Filter').press('Enter');
    const slow = await reader(url);
    const silent = await reader(url);
    // It reads what has come, and then nothing for a while.
    const reads = setInterval(() => (slow.page.resume(), setImmediate(() => slow.page.pause())), SLOW_READ_MS);
    t.teardown(() => clearInterval(reads));

    const session = await page.context().newCDPSession(page);
    const now = async (): Promise<Record<keyof typeof GROWTH_MIB, number>> => ({
      server: residentMib(server.pid ?? 0),
      controller: residentMib(controllerPid(nic.netns, nic.iface)),
      page: await heapMib(session),
    });
    const before = await now();
    const options = { address: ADDRESS, bytes: PAYLOAD_BYTES, rate: RATE, flows: FLOWS, packets: FRAMES };
    const { sender, receiver } = await startFlood(t, nic.netns, options);
    let isOver = false;
    const over = sender.result.finally(() => (isOver = true));
    await new Promise((resolve) => setTimeout(resolve, (FRAMES / RATE / 4) * 1000));
    const begun = await now();
    const most = { ...begun };
    while (!isOver) {
      await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 1000))]);
      const { server: a, controller: b, page: c } = await now();
      Object.assign(most, { server: Math.max(most.server, a), controller: Math.max(most.controller, b), page: Math.max(most.page, c) }); // prettier-ignore
    }
    const { sent, seconds } = await over;
    await receiver.stop();
    t.equal(sent, FRAMES, `${((sent * FRAME_BYTES) / 1e9).toFixed(1)} GB in ${seconds.toFixed(0)} s`);
    for (const name of ['server', 'controller', 'page'] as const) {
      const figures = [before, begun, most].map((each) => each[name].toFixed(1));
      const words = `${name}: ${figures[0]} MiB before, ${figures[1]} after a quarter, ${figures[2]} at most`;
      t.comment(words);
      t.ok(most[name] - begun[name] < GROWTH_MIB[name], words);
    }
    t.ok((await elements(page)) < ELEMENTS_MAX, `${await elements(page)} elements`);
    t.match(await page.locator('.tools .hint').textContent(), /[\d,]+ frames, [\d,]+ left out/);
    if (view === 'Conversations') t.equal(await page.locator('.flow').count(), FLOWS, 'all flows, told apart');
    clearInterval(reads);
    slow.page.resume();
    t.ok(await slow.next('stats', ({ time }) => time > Date.now() - 2000), 'the slow reader sees the present');
    const end = closed(silent.page);
    silent.page.resume();
    t.equal(await end, 1006, 'one that never reads is given up');
    checkAccounting(t, nic, await nic.atRest());
    t.same(complaints, []);
    slow.page.terminate();
  });
}
