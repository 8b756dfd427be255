// SPDX-License-Identifier: MIT
/** What documents and messages name is in the tarball, and so in the Debian package, which is made of it. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { ROOT } from '../helpers/cli';

const {
  files,
  exports: entries,
  typesVersions,
} = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
  files: string[];
  exports: Record<string, string | { types: string }>;
  typesVersions: { '*': Record<string, string[]> };
};

/** npm takes these in any case. */
const ALWAYS = ['package.json', 'README.md', 'LICENSE'];

/** As npm does: the last pattern that matches decides; one that matches a directory has all of it. */
function isPacked(name: string): boolean {
  const anyOf = (pattern: string): string =>
    pattern.replace(/[.+@]/g, '\\$&').replace(/\*\*\/|\*/g, (stars) => (stars === '*' ? '[^/]*' : '(.*/)?'));
  const last = files.filter((pattern) => new RegExp(`^${anyOf(pattern.replace(/^!/, ''))}(/|$)`).test(name)).at(-1);
  return ALWAYS.includes(name) || (last !== undefined && !last.startsWith('!'));
}

const filesBelow = (directory: string, ending: string): string[] =>
  fs
    .readdirSync(path.join(ROOT, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => path.join(directory, name));

t.test('links of documents', async (t) => {
  const documents = [
    'README.md',
    ...fs
      .readdirSync(path.join(ROOT, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => path.join('docs', name)),
    'src/libbpf-ts/README.md',
  ];
  let links = 0;
  for (const document of documents) {
    t.ok(isPacked(document), document);
    for (const [, inMarkdown, inHtml = ''] of fs
      .readFileSync(path.join(ROOT, document), 'utf8')
      .matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)|\s(?:src|srcset)="([^"]+)"/g)) {
      const target = inMarkdown ?? inHtml;
      if (/^[a-z]+:/.test(target)) continue;
      const name = path.join(path.dirname(document), target);
      links++;
      if (!fs.existsSync(path.join(ROOT, name)) || !isPacked(name))
        t.fail(`${document} links to ${name}, which is not packed`);
    }
  }
  t.ok(links > 100, `${links} links`);
});

t.test('files that messages name', async (t) => {
  let named = 0;
  for (const source of filesBelow('src', '.ts').filter((name) => !name.startsWith('src/libbpf-ts/'))) {
    // Comments are for those who have the sources.
    const code = fs.readFileSync(path.join(ROOT, source), 'utf8').replace(/\/\*[^]*?\*\/|(^|\s)\/\/.*$/gm, '');
    for (const [name] of code.matchAll(
      /(?<![\w/.-])(docs|src\/examples|bpf)\/[\w@./-]+\.(md|json|ts|service|conf|svg|c)\b/g,
    )) {
      named++;
      if (!fs.existsSync(path.join(ROOT, name)) || !isPacked(name))
        t.fail(`${source} names ${name}, which is not packed`);
    }
  }
  t.ok(named > 5, `${named} names`);
});

t.test('what is packed, and what is not', async (t) => {
  for (const name of ['dist/cli/main.js', 'docs/systemd/vnet-bpf@.service', 'src/examples/chaos.ts', 'bpf/LICENSE'])
    t.ok(isPacked(name), name);
  for (const name of [
    'src/index.ts',
    'test/unit/accounting.test.ts',
    'dist/vnet-bpf-0.1.0.tgz',
    'dist/cli/main.js.map',
    'dist/.built',
  ])
    t.notOk(isPacked(name), name);
});

t.test('each entry of the library has its types for resolutions that know no exports, too', async (t) => {
  const named = Object.entries(entries).filter(([name, entry]) => name !== '.' && typeof entry !== 'string');
  t.same(
    Object.fromEntries(named.map(([name, entry]) => [name.slice(2), [(entry as { types: string }).types.slice(2)]])),
    typesVersions['*'],
  );
});
