// SPDX-License-Identifier: MIT
/**
 * `node course-tool.js URL-FILE FILE`: a page for each interface of docs/driver.md, as a reader has it open. Writes what
 * the pages are told into FILE, a line of JSON each, until the server ends. Waits for the address to appear in URL-FILE.
 */
import * as fs from 'node:fs';

import type { FromServer } from '../../src/web/protocol';
import { opened, webAddress } from './web-client';

const INTERFACES = ['vnet0', 'vnet1', 'vnet2'];

/** What the page of an interface is told; `page` is that interface. */
export type Told = FromServer & { page: string };

/**
 * Whether a reader would have the tab with the frames open. Not while there is full traffic, which a recording slows
 * down.
 */
const wantsFrames = (message: FromServer): boolean =>
  message.type === 'stats' &&
  (message.interface === 'vnet0' || message.faults !== null || message.stats.queue.queues > 1);

async function follow(url: string, page: string, tell: (told: Told) => void): Promise<void> {
  const { page: socket, say } = await openedFor(url);
  let frames = page === 'vnet0';
  const watch = (): void => say({ type: 'watch', interface: page, frames: frames ? { filter: '' } : null });
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as FromServer;
    tell({ ...message, page });
    if (message.type !== 'stats' || wantsFrames(message) === frames) return;
    frames = !frames;
    watch();
  });
  watch();
}

async function openedFor(url: string) {
  const page = await opened(webAddress(url));
  return { page: page.page, say: page.say.bind(page) };
}

async function main(urlFile: string, file: string): Promise<void> {
  const addressIn = (): string => (fs.existsSync(urlFile) ? fs.readFileSync(urlFile, 'utf8') : '');
  while (!addressIn().endsWith('\n')) await new Promise((resolve) => setTimeout(resolve, 50));
  const out = fs.openSync(file, 'w');
  const tell = (told: Told): void => void fs.writeSync(out, `${JSON.stringify(told)}\n`);
  for (const page of INTERFACES) await follow(addressIn().trim(), page, tell);
}

if (require.main === module) {
  const [, , urlFile = '', file = ''] = process.argv;
  void main(urlFile, file);
}
