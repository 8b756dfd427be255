// SPDX-License-Identifier: MIT
/** The pictures of docs/: each is shown with words for those who do not see it, legible in light and dark, and current. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { commentOf } from '../../src/capture/comment';
import type { RecordedFrame } from '../../src/capture/trace-ring';
import { OUTCOME } from '../../src/datapath/outcomes';
import { COMMANDS } from '../../src/cli/commands';
import { GLOBAL_OPTIONS } from '../../src/cli/declarations';
import { tableBelow } from '../../src/setup/man-page';
import { BLOCKS, textOf } from '../../src/top/drawing';
import { FIRST_VIEW, screen } from '../../src/top/screen';
import { ROOT } from '../helpers/cli';
import { rowWithHistory } from '../helpers/top-rows';
import { contrast, elementsOf, foreignParts } from '../helpers/xml';
import { gatePicture } from '../pictures/gate';
import { loopPicture } from '../pictures/loop';
import { DARK, LIGHT } from '../pictures/palette';
import { DEMO, TSHARK } from '../pictures/scripts';
import { PROMPT } from '../pictures/session';
import { textIn } from '../pictures/terminal';

const DOCS = path.join(ROOT, 'docs');
const read = (file: string): string => fs.readFileSync(path.join(ROOT, file), 'utf8');
const PICTURES = fs.readdirSync(DOCS).filter((name) => /\.(svg|png)$/.test(name));
const DRAWN = PICTURES.filter((name) => name.endsWith('.svg'));
const PAGES = ['README.md', ...fs.readdirSync(DOCS).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : []))];
/** GitHub's pages load them at once; a picture that moves is the largest. */
const BYTES_MAX = 150_000;
/** Words instead of a picture say what is in it. */
const ALT_MIN = 40;

interface Shown {
  page: string;
  name: string;
  alt: string;
}

/** Where pictures are shown; `srcset` counts with the `img` that follows. */
function shown(page: string): Shown[] {
  const at = (target: string, alt: string): Shown => ({
    page,
    name: path.relative('docs', path.join(path.dirname(page), target)),
    alt,
  });
  const text = read(page);
  const inMarkdown = [...text.matchAll(/!\[([^\]]*)\]\(([^)\s]+)\)/g)].map(([, alt = '', target = '']) =>
    at(target, alt),
  );
  const inHtml = [...text.matchAll(/(?:<source[^>]*?srcset="([^"]+)"[^>]*>\s*)?<img\s[^>]*?src="([^"]+)"[^>]*>/g)];
  return [
    ...inMarkdown,
    ...inHtml.flatMap(([tag, source, target = '']) => {
      const alt = /\salt="([^"]*)"/.exec(tag)?.[1] ?? '';
      return [at(target, alt), ...(source === undefined ? [] : [at(source, alt)])];
    }),
  ];
}

t.test('each picture is shown on a page, with words for those who do not see it', async (t) => {
  const all = PAGES.flatMap(shown);
  t.same([...new Set(all.map(({ name }) => name))].sort(), [...PICTURES].sort(), 'no more and no less');
  t.same(
    all.filter(({ alt }) => alt.length < ALT_MIN).map(({ page, name, alt }) => `${page}: ${name}: ${alt}`),
    [],
  );
  const readme = read('README.md');
  const begin = readme.indexOf('docs/demo.svg');
  t.ok(begin > 0 && begin < readme.indexOf('\n## '), 'the README begins with one that moves');
});

t.test('each drawing is valid, small, and loads and runs nothing', async (t) => {
  for (const name of DRAWN) {
    const svg = read(`docs/${name}`);
    t.equal(elementsOf(svg)[0]?.name, 'svg', name);
    t.same(foreignParts(svg), [], `${name} is a picture and nothing else`);
    t.ok(svg.length < BYTES_MAX, `${name} has ${svg.length} bytes`);
    t.match(svg, /<title[ >]/, `${name} has a title`);
  }
});

t.test('each drawing has colours for light and for dark, and they are legible', async (t) => {
  // The course's pictures have colours of their own, which test/kernel/long/docs-driver.test.ts compares.
  for (const name of DRAWN.filter((one) => !one.startsWith('driver-'))) {
    const svg = read(`docs/${name}`);
    t.match(svg, '@media (prefers-color-scheme:dark)', name);
    for (const { paper, ink } of [LIGHT, DARK]) {
      t.match(svg, `.ground{fill:${paper};`, `${name} is on a ground of its own`);
      t.match(svg, `fill:${ink}`, `${name} has text for it`);
    }
  }
  for (const [scheme, { paper, panel, border, bar, otherBar, area, ...texts }] of Object.entries({ LIGHT, DARK })) {
    for (const [name, colour] of Object.entries(texts))
      for (const behind of [paper, panel])
        t.ok(
          contrast(colour, behind) >= 4.5,
          `${scheme}: ${name} is read on ${behind}: ${contrast(colour, behind).toFixed(1)}`,
        );
    for (const colour of [bar, otherBar, ...Object.values(area)])
      t.ok(contrast(colour, paper) >= 3, `${scheme}: bars are seen`);
    t.not(border, paper);
  }
});

t.test('docs/gate.svg', async (t) => {
  const svg = read('docs/gate.svg');
  t.equal(svg, gatePicture(), 'make pictures draws it anew');
  for (const name of ['Running', 'Stopped', 'Draining', 'Closing']) t.match(svg, `>${name}<`);
  const drawnByScripts = PAGES.filter((page) => read(page).includes('```mermaid'));
  t.same(drawnByScripts, [], 'no page needs a script to draw, which the site does not have');
});

t.test('docs/loop.svg', async (t) => {
  const svg = read('docs/loop.svg');
  t.equal(svg, loopPicture(), 'make pictures draws it anew');
  const page = read('docs/architecture.md');
  const names = tableBelow(page, '## Parts').flatMap(([part = '']) => {
    const code = [...part.matchAll(/`([a-z-]+)`/g)].map(([, name = '']) => name);
    return code.length > 0 && part.startsWith('`') ? code : [part.split(',')[0] ?? ''];
  });
  t.ok(names.includes('poller') && names.includes('resegment'), names.join(', '));
  for (const name of names) t.match(svg, name, `it names ${name}`);
  const way = /^## The way of a packet\n([^]*?)^### /m.exec(page)?.[1] ?? '';
  const steps = [...way.matchAll(/^(\d+)\. /gm)].map(([, number]) => number);
  for (const step of [...steps, ...['H1', 'H2', 'H3'].filter((each) => way.includes(each))])
    t.match(svg, `class="number">${step}<`, `it has step ${step}`);
});

/** Whether a command line has a command of ours, and only options that it has. */
function isOurs(line: string): boolean {
  const [, name = '', rest = ''] = /^vnet-bpf ([a-z]+)(.*)/.exec(line) ?? [];
  const command = COMMANDS.find((each) => each.name === name);
  const options = Object.keys({ ...command?.options, ...GLOBAL_OPTIONS });
  return (
    command !== undefined && [...rest.matchAll(/\s--([a-z][a-z-]*)/g)].every(([, each = '']) => options.includes(each))
  );
}

t.test('docs/demo.svg', async (t) => {
  const svg = read('docs/demo.svg');
  const typed = textIn(svg).flatMap((line) => (line.startsWith(PROMPT) ? [line.slice(PROMPT.length)] : []));
  t.same(typed, [...DEMO], 'what is typed; make pictures takes it anew');
  const ours = typed.filter((line) => line.startsWith('vnet-bpf'));
  t.same(
    ours.filter((line) => !isOurs(line)),
    [],
    'commands and options exist',
  );
  t.match(svg, '@media (prefers-reduced-motion:reduce)', 'it stands still for those who want that');
  const frames = /@keyframes curtain\{([^]*?\})\}/.exec(svg)?.[1] ?? '';
  t.ok(frames.split('%{').length > 10, 'it moves');
});

t.test('docs/top.svg', async (t) => {
  // test/kernel/long/top.test.ts compares all of it with a screen of two interfaces at work.
  const rows = ['vnet0', 'vnet1'].map((id) => rowWithHistory(id, 40));
  const scene = {
    rows,
    view: { ...FIRST_VIEW, chosen: 'vnet0' },
    seconds: 1,
    news: null,
    time: new Date(0),
    glyphs: BLOCKS,
  };
  const labelsOf = (lines: readonly string[]): string[] => [
    ...new Set(lines.flatMap((line) => /^ {2}([a-z]+) /.exec(line)?.[1] ?? [])),
  ];
  const now = labelsOf(screen(scene, { width: 80, height: 24 }).map(textOf));
  t.ok(now.length > 4, now.join(', '));
  t.same(labelsOf(textIn(read('docs/top.svg'))), now, 'its rows have the names that top prints');
});

/** The words of a comment, without its figures. */
const wordsOf = (comment: string): string => comment.replace(/\d+(\.\d+)?/g, 'N');

t.test('docs/tshark.svg', async (t) => {
  const lines = textIn(read('docs/tshark.svg'));
  t.equal(lines[0], PROMPT + TSHARK);
  const comments = lines.slice(1).flatMap((line) => /captured, .*/.exec(line)?.[0].split('; ')[0] ?? []);
  const kinds = [OUTCOME.reinjected, OUTCOME.dropped, OUTCOME.changed, OUTCOME.delayed].flatMap((outcome) =>
    [null, [1]].map((faults) => {
      const frame = {
        ending: 'told',
        hasVirtioNetHeader: false,
        held: false,
        inRoom: false,
        outcome,
        faults,
        detail: outcome === OUTCOME.delayed ? 200 : 0,
        releasedAt: 0,
        time: 0,
        endedAt: 87_000,
      } as unknown as RecordedFrame;
      return wordsOf(commentOf(frame).split('; ')[0] ?? '');
    }),
  );
  t.same(
    comments.map(wordsOf).filter((words) => !kinds.includes(words)),
    [],
    'comments are those that record writes',
  );
  t.ok(
    comments.length >= 6 && new Set(comments.map(wordsOf)).size >= 3,
    `${comments.length} comments, of several kinds`,
  );
});
