// SPDX-License-Identifier: MIT
/**
 * docs/driver.md: what its experiments show on the page, in a browser, on a machine of its own. What they print is
 * checked by test/kernel/long/docs-driver.test.ts. `make test-playwright` runs it.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createInterface } from 'node:readline';

import { chromium, type Locator, type Page } from 'playwright-core';
import t, { type Test } from 'tap';

import { MAIN, ROOT, SLOW } from '../helpers/cli';
import { blocksOf, READERS_HOME } from '../helpers/document';
import { PrivateMachine } from '../helpers/private-machine';
import { withoutTools } from '../helpers/traffic';
import { CHROMIUM, skip } from './stream';

t.setTimeout(400_000 * SLOW);

/** A reader's shell, inside a machine. */
class Shell {
  private readonly shell;
  private readonly lines: AsyncIterator<string>;

  constructor(t: Test, machine: PrivateMachine) {
    const [program, args] = machine.inside('bash', []);
    const env = { ...process.env, NODE: process.execPath, MAIN };
    this.shell = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], env });
    t.teardown(() => this.shell.kill());
    this.lines = createInterface(this.shell.stdout)[Symbol.asyncIterator]();
    this.shell.stdin.write(`exec 2>&1\n${READERS_HOME.replace('set -e', '')}`);
  }

  /** Runs commands; resolves with what they print when the last one has ended. */
  async run(commands: string): Promise<string> {
    this.shell.stdin.write(`${commands}\necho '@@ done'\n`);
    const printed: string[] = [];
    for (;;) {
      const { value, done } = await this.lines.next();
      if (done) throw new Error(`the shell has ended: ${printed.join('\n')}`);
      if (value === '@@ done') return printed.join('\n');
      printed.push(value);
    }
  }
}

/** The commands of each experiment, in their order. */
const EXPERIMENTS = blocksOf(path.join(ROOT, 'docs', 'driver.md'))
  .filter(({ language }) => language === 'sh')
  .map(({ text }) => text);

/** Starts Chromium inside a machine, where it reaches the server. */
async function browse(t: Test, machine: PrivateMachine): Promise<Page> {
  const [program, args] = machine.inside(CHROMIUM, []);
  const words = [program, ...args].map((word) => `'${word}'`).join(' ');
  const executablePath = path.join(t.testdir({}), 'chromium');
  fs.writeFileSync(executablePath, `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
  const browser = await chromium.launch({ executablePath });
  t.teardown(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  page.setDefaultTimeout(30_000 * SLOW);
  return page;
}

t.test(
  'the page shows what the course says',
  { skip: skip || withoutTools('iperf3', 'ethtool', 'tcpdump') },
  async (t) => {
    const machine = await PrivateMachine.start(t);
    const shell = new Shell(t, machine);
    const page = await browse(t, machine);
    const experiments = EXPERIMENTS.values();
    /** Begins the next experiment; resolves when it has ended and all of `seen` has been in sight, one after the other. */
    const shows = async (name: string, ...seen: (() => Promise<unknown>)[]): Promise<void> => {
      const running = shell.run(experiments.next().value ?? '');
      for (const each of seen) await each();
      await running;
      t.pass(name);
    };
    const sees = (locator: Locator) => () => locator.waitFor();
    const part = (name: string, text: string | RegExp): Locator =>
      page.locator('.part', { has: page.locator('.name', { hasText: name }), hasText: text });
    const state = (words: string): Locator => page.locator('.state', { hasText: words });
    const chosen = (name: string) => () => page.getByLabel('Interface').selectOption(name);
    const tab = (name: string) => () => page.getByRole('tab', { name }).click();
    const lost = (reason: string): Locator => page.locator('.losses', { hasText: reason });
    const nothing = page.getByText('No interface is attached');

    const url = (await shell.run(experiments.next().value ?? '')).split('\n').at(-1) ?? '';
    await page.goto(url);
    await nothing.waitFor();

    await shows('1. an interface', sees(state('running')), sees(state('carrier down')), sees(state('running')));
    await tab('Frames')();
    const echoes = page.locator('.frame', { hasText: 'icmp echo' });
    await shows('2. transmitting', sees(echoes.nth(7)));
    await tab('Charts')();
    await shows(
      '3. stop and wake',
      chosen('vnet1'),
      sees(page.locator('.ring.stopped', { hasText: 'stopped' })),
      sees(page.locator('.part.busy', { hasText: 'held' })),
      sees(page.locator('.ring.woken', { hasText: 'woken' })),
      sees(state('running')),
    );
    await shows('3. at full speed', sees(lost('full')));
    await shows('4. NAPI', sees(part('Poller', 'in 100 % of them')), chosen('vnet2'), sees(part('Poller', 'asleep')));
    await shows('5. offloads', chosen('vnet1'), sees(part('RX', /[1-9].* merged/)));
    await shows('5. checksums');
    await shows('6. counting', sees(lost('full')));
    await tab('Frames')();
    await shows(
      '6. a fault',
      sees(lost('1 hook or faults')),
      sees(page.locator('.frame', { hasText: 'dropped by faults' })),
    );
    await tab('Charts')();
    await shows(
      '7. busy polling',
      chosen('vnet1'),
      sees(part('Poller', 'sleeps, wakes')),
      chosen('vnet2'),
      sees(part('Poller', /awake/)),
    );
    await tab('Frames')();
    await shows('8. several queues', chosen('vnet1'), sees(page.getByText(/2 queues/)));
    await tab('Charts')();
    await shows('9. a crash', chosen('vnet0'), sees(state('crashed')), sees(state('running')));
    await shows('9. unloading', sees(state('gone')));
    await shows('the end');
    t.equal(experiments.next().done, true, 'that was all');
  },
);
