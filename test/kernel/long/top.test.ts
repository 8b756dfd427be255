// SPDX-License-Identifier: MIT
/** `top` in a terminal of 80x24, under traffic: what it shows, and what keys do. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { attachedIn, cannotRun, cli, cliStart, MAIN, ROOT, SLOW } from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { quietNetns } from '../../helpers/netns';
import { refused } from '../../helpers/refusal';
import { SIZE, Tmux } from '../../helpers/tmux';
import { busyPair, shapeOf } from '../../helpers/top-picture';
import { withoutTools } from '../../helpers/traffic';
import { textIn } from '../../pictures/terminal';

t.setTimeout(120_000 * SLOW);

/** What the README shows of it. */
const PICTURE = path.join(ROOT, 'docs', 'top.svg');

t.test('what it shows, and what keys do', { skip: cannotRun || withoutTools('tmux') }, async (t) => {
  const { netns, vnet0, vnet1 } = await busyPair(t);
  const terminal = new Tmux(t, [process.execPath, MAIN, 'top', '--netns', netns], SIZE);
  const lines = await terminal.shows(/> vnet0[^]*tx +[1-9][^]*stops .*[▄█]$[^]*vnet1[^]*tx +[1-9][^]*drops full \d/m);
  t.equal(lines.length, SIZE.height);
  t.match(lines[0], /^vnet-bpf top {2}2 interfaces {2}by name {2}every 1 s {2}last \d+ s +\d\d:\d\d:\d\d$/);
  t.match(lines.at(-1), /^q quit/, 'the keys are in the last line');
  t.match(
    lines.join('\n'),
    /queue +\d+ % of 256 KiB [█-▏░]+┃[█-▏░]+$/m,
    'how full the queue is, with its low watermark',
  );
  t.match(lines.join('\n'), /poll +\d+(\.\d)?\/s, \d+ % over budget +drops none/);
  // eslint-disable-next-line no-control-regex
  t.match(terminal.styled(), /\x1b\[36m *[▁-█]/, 'charts are coloured');

  const before = { at: performance.now(), tx: vnet1.stats().tx.packets };
  const shown = (await terminal.shows(/vnet1[^]*tx +\d/)).filter((line) => /^ +tx /.test(line))[1] ?? '';
  await eventually(() => performance.now() - before.at > 1500);
  const real = ((vnet1.stats().tx.packets - before.tx) * 1000) / (performance.now() - before.at);
  const [, number = '0', unit] = /tx +([\d.]+)(k?) pkt/.exec(shown) ?? [];
  const rate = Number(number) * (unit === 'k' ? 1000 : 1);
  t.ok(rate > real / 3 && rate < real * 3, `the rate shown, ${rate}, is about ${Math.round(real)}`);

  terminal.press('s');
  await terminal.shows(/by tx/);
  terminal.press('s', 's', 's', 's');
  await terminal.shows(/by name/);
  terminal.press('Down');
  await terminal.shows(/> vnet1/);
  terminal.press('Enter');
  await terminal.shows(/> vnet1[^]*frames +\d+ in +\d+ out[^]*drops +full +\d+ +\S+\/s[^]*enter back/);
  terminal.press('Escape');
  await terminal.shows(/vnet0[^]*> vnet1/);
  terminal.press('p');
  const paused = await terminal.shows(/PAUSED/);
  const { polls } = vnet0.stats().poll;
  await eventually(() => vnet0.stats().poll.polls > polls + 40);
  t.same(terminal.lines(), paused, 'while it is paused nothing changes');
  terminal.press('Space');
  await terminal.shows(/last \d+ s +\d\d:/);

  for (const [width, height] of [
    [140, 40],
    [40, 10],
    [100, 30],
    [SIZE.width, SIZE.height],
  ] as const) {
    terminal.resize(width, height);
    const fits = (seen: string[]): boolean =>
      seen.length === height &&
      /^q quit/.test(seen.at(-1) ?? '') &&
      /\d\d:\d\d:\d\d$/.test(seen[0] ?? '') &&
      seen[0]?.length === width;
    t.ok(await eventually(() => fits(terminal.lines())), `it follows the size of the terminal: ${width}x${height}`);
  }

  terminal.press('Up');
  const picture = async (): Promise<string[]> =>
    (await terminal.shows(/> vnet0[^]*% of [^]*drops full/)).map((line) => line.replaceAll(netns, 'lab'));
  const wanted = shapeOf(textIn(fs.readFileSync(PICTURE, 'utf8')));
  let shape = shapeOf(await picture());
  // The terminal may just be in the middle of drawing.
  for (let tries = 0; tries < 10 && shape.join() !== wanted.join(); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    shape = shapeOf(await picture());
  }
  t.same(wanted, shape, 'the picture shows a screen like this one; make pictures takes it anew');

  cli(['detach', 'vnet1', '--netns', netns]);
  t.match((await terminal.shows(/1 interface [^]* went/)).at(-1), `vnet1 in ${netns} went`);
  attachedIn(t, netns, [], 'vnet2');
  await terminal.shows(/2 interfaces[^]*vnet2 in [^]*vnet2 in \S+ came/);
});

t.test('without a terminal: lines; and what is refused', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const nic = attachedIn(t, netns);
  const child = cliStart(t, ['top', 'vnet0', '--netns', netns, '--interval', '0.2']);
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const line = new RegExp(
    `^vnet0 in ${netns}: running, tx \\S+ packets/s \\S+ bit/s, rx .*, queue 0 %, held 0, .*polls/s, .*drops none$`,
    'm',
  );
  t.ok(await eventually(() => (text.match(new RegExp(line, 'gm')) ?? []).length >= 3), 'a line each interval');
  t.notMatch(text, /nothing is attached/, 'and before the first none that says otherwise');
  cli(['detach', nic.iface, '--netns', netns]);
  t.ok(await eventually(() => text.endsWith(`vnet0 in ${netns}: went\n`)), 'it is told that it went');
  attachedIn(t, netns);
  t.ok(await eventually(() => text.includes(`vnet0 in ${netns}: came\n`)), 'and that it came again');
  // eslint-disable-next-line no-control-regex
  t.notMatch(text, /\x1b/, 'no escape codes');
  await refused(t, [
    { args: ['top', 'vnet0', '--netns', netns, '--interval', '0'], status: 2, says: /--interval "0"/ },
    { args: ['top', 'abcdefghijklmnop'], status: 2, says: /16 characters/ },
    { args: ['top', 'vnet9', '--netns', netns], status: 1, says: /is not attached/ },
  ]);
});
