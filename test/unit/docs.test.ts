// SPDX-License-Identifier: MIT
/**
 * What the pages say of other files: links lead somewhere, commands, options and targets of make exist, each page is in
 * the README's list.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { READERS, UNPACKED, WRITERS } from '../../src/capture/formats';
import { COMMANDS } from '../../src/cli/commands';
import { GLOBAL_OPTIONS } from '../../src/cli/declarations';
import { missingCapabilities } from '../../src/requirements';
import { tableBelow } from '../../src/setup/man-page';
import { Slugs } from '../../src/setup/site-pages';
import { ROOT } from '../helpers/cli';
import { blocksOf } from '../helpers/document';

const PAGES = [
  'README.md',
  ...fs
    .readdirSync(path.join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `docs/${name}`),
];
const read = (file: string): string => fs.readFileSync(path.join(ROOT, file), 'utf8');
const withoutBlocks = (text: string): string => text.replace(/^ *```[^]*?^ *```$/gm, '');

/** The names of the headings of a page. */
function anchorsOf(file: string): readonly string[] {
  const slugs = new Slugs();
  for (const [, heading = ''] of withoutBlocks(read(file)).matchAll(/^#+ (.*)$/gm))
    slugs.add(heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1'));
  return slugs.all;
}

/** Where a page leads: links and pictures, in Markdown and in HTML. */
const linksOf = (page: string): string[] =>
  [...withoutBlocks(read(page)).matchAll(/\]\(([^)\s]+)\)|\s(?:src|srcset|href)="([^"]+)"/g)].map(
    ([, inMarkdown, inHtml]) => inMarkdown ?? inHtml ?? '',
  );

t.test('links lead to a file that is there, and to a heading of it', async (t) => {
  const broken = PAGES.flatMap((page) =>
    linksOf(page).flatMap((link) => {
      if (/^[a-z]+:/.test(link)) return [];
      const [target = '', anchor] = link.split('#');
      const file = target === '' ? page : path.join(path.dirname(page), target);
      if (!fs.existsSync(path.join(ROOT, file))) return [`${page}: ${link}: no such file`];
      return anchor === undefined || anchorsOf(file).includes(anchor) ? [] : [`${page}: ${link}: no such heading`];
    }),
  );
  t.same(broken, []);
  t.match(
    anchorsOf('docs/architecture.md'),
    ['architecture', 'parts', 'folders', 'the-way-of-a-packet'],
    'headings are read',
  );
});

/** Commands that a reader types or reads: lines of shell code, and code within the text. */
function typed(page: string): string[] {
  const lines = blocksOf(path.join(ROOT, page)).flatMap(({ language, text }) =>
    ['sh', 'yaml', 'dockerfile'].includes(language) ? text.replaceAll('\\\n', ' ').split('\n') : [],
  );
  // Not what messages say.
  const spans = [...withoutBlocks(read(page)).matchAll(/`((?:sudo )?(?:vnet-bpf|make) [^`]+)`/g)].map(
    ([, code = '']) => code,
  );
  return [...lines, ...spans];
}

t.test('commands and options exist', async (t) => {
  const commands = new Map(COMMANDS.map(({ name, options }) => [name, Object.keys({ ...options, ...GLOBAL_OPTIONS })]));
  let checked = 0;
  const unknown = PAGES.flatMap((page) =>
    typed(page).flatMap((line) =>
      // Up to where a shell would begin another command, a comment, or the words of a command that is run. A container
      // may have that name, too.
      [...line.matchAll(/(?:^|[\s(])vnet-bpf (?!vnet-bpf)([a-z]+)((?:(?! -- | [|#>&] |[;)])[^])*)/g)].flatMap(
        ([, name = '', rest = '']) => {
          const options = commands.get(name);
          checked++;
          if (!options) return [`${page}: vnet-bpf ${name}`];
          return [...rest.matchAll(/\s--([a-z][a-z-]*)/g)].flatMap(([, option = '']) =>
            options.includes(option) ? [] : [`${page}: vnet-bpf ${name} --${option}`],
          );
        },
      ),
    ),
  );
  t.same([...new Set(unknown)], []);
  t.ok(checked > 100, `${checked} commands were looked at`);
});

/** Of other programs, or not messages. */
const NOT_OUR_MESSAGES = [
  "env: 'node': No such file or directory",
  'Fatal process OOM in Failed to reserve virtual memory', // V8
  'Peer MTU is too large to set XDP',
  'stats --check',
  'ended with SIGABRT',
  'bpftool net',
];

t.test('messages that docs/troubleshooting.md quotes are messages of the sources', async (t) => {
  const sources = fs
    .readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !/node_modules|dist/.test(file))
    .map((file) => read(`src/${file}`).replaceAll("\\'", "'"))
    .join('\n');
  const page = read('docs/troubleshooting.md');
  const quoted = ['## It does not attach', '## Packets do not come back'].flatMap((heading) =>
    tableBelow(page, heading).flatMap(([symptom = '']) =>
      [...symptom.matchAll(/`([^`]+)`/g)].map(([, message = '']) => message),
    ),
  );
  // What stands between names, numbers and dots, each with at least a word.
  const piecesOf = (message: string): string[] =>
    message.split(/\.\.\.|: |, | N$| CAP_\w+| \S+\.so\S*|\/path/).filter((piece) => /\w{2}/.test(piece));
  const unknown = quoted.filter((message) => !piecesOf(message).every((piece) => sources.includes(piece.trim())));
  t.same([...new Set(unknown)].sort(), [...NOT_OUR_MESSAGES].sort());
  t.ok(quoted.length > 30, `${quoted.length} were looked for`);
});

t.test('targets of make exist', async (t) => {
  const targets = [...read('Makefile').matchAll(/^([a-z][a-z-]*):/gm)].map(([, name]) => name);
  const named = PAGES.flatMap((page) =>
    typed(page).flatMap((line) => [...line.matchAll(/(?:^|&& )make ([a-z][a-z-]*)/g)].map(([, target]) => target)),
  );
  t.same(
    named.filter((target) => !targets.includes(target)),
    [],
  );
  t.ok(named.length > 10);
});

t.test('the formats of captures', async (t) => {
  const files = tableBelow(read('docs/recording.md'), '## Replay');
  t.same(
    READERS.filter(({ name }) => !files.some(([file]) => file === name)),
    [],
    'each that is read has a row in docs/recording.md',
  );
  const compressed = files.find(([file]) => file === 'compressed')?.[1];
  for (const name of UNPACKED) t.ok(compressed?.includes(`by ${name}`), `compressed by ${name}`);
  const write = tableBelow(read('docs/cli.md'), '## record').find(([option]) => option?.startsWith('`--write '))?.[2];
  for (const { name, ending } of WRITERS)
    t.ok(
      write?.includes(name) && (WRITERS.length === 1 || write.includes(`\`${ending}\``)),
      `--write: ${name}, by ${ending}`,
    );
});

t.test('the README names each page, and what it does with', async (t) => {
  const readme = read('README.md');
  t.same(
    PAGES.slice(1).filter((page) => !readme.includes(`\n- [${page}](${page}): `)),
    [],
  );
});

t.test('the capabilities that docs/ci.md names are those that are asked for', async (t) => {
  const page = read('docs/ci.md');
  const needed = missingCapabilities(0n);
  t.same(
    [...page.matchAll(/^\| `(CAP_\w+)` \| (.*) \|$/gm)]
      .map(([, name, why]) => ({ name, why }))
      .sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1)),
    [...needed].sort((a, b) => (a.name < b.name ? -1 : 1)),
  );
  const added = [...page.matchAll(/--cap-add (\w+)/g)].map(([, name]) => `CAP_${name}`);
  t.same(added.sort(), needed.map(({ name }) => name).sort(), 'and so are those of the command');
});
