// SPDX-License-Identifier: MIT
/** The site of the documents: which pages it has, what becomes of links to files, and how its links are checked. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { deflateSync } from 'node:zlib';

import t from 'tap';

import { checkSite, tagsOf } from '../../src/setup/site-check';
import { linkedFiles, pagesOf, Slugs, slugOf, sourceFiles, sourcePage, titleOf } from '../../src/setup/site-pages';
import { ROOT } from '../helpers/cli';

t.test('it has each page of docs/, in the README’s order and under its words', async (t) => {
  const pages = pagesOf(ROOT);
  t.same(
    pages
      .map(({ file }) => file)
      .filter((file) => file.startsWith('docs/'))
      .sort(),
    fs
      .readdirSync(path.join(ROOT, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`)
      .sort(),
  );
  t.match(pages[0], { category: 'Getting started', title: 'When to use this' });
  t.match(
    pages.find(({ file }) => file === 'docs/hooks.md'),
    { category: 'Reference', title: 'Hooks' },
  );
  t.equal(pages.at(-1)?.category, 'Contributing');
  t.equal(new Set(pages.map(({ title }) => title)).size, pages.length, 'each with a name of its own');
});

t.test('names', async (t) => {
  t.equal(titleOf('x\n# The page of `vnet-bpf web`\n'), 'The page of vnet-bpf web');
  t.equal(titleOf('# "My client [hangs](x.md)": a tutorial\n'), 'My client hangs');
  t.throws(() => titleOf('## no heading'));
  t.equal(slugOf('Merging: `--gro` of 64 B, twice'), 'merging---gro-of-64-b-twice', 'as GitHub has it');
  const slugs = new Slugs();
  t.same(
    ['A b', 'c', 'A b', 'a b!'].map((heading) => slugs.add(heading)),
    ['a-b', 'c', 'a-b-1', 'a-b-2'],
  );
  t.same(slugs.all, ['a-b', 'c', 'a-b-1', 'a-b-2']);
});

t.test('files that pages link to become pages, and so does what lies in a directory', async (t) => {
  const root = t.testdir({
    'README.md':
      '[page](docs/a.md) [files](src) ![picture](docs/p.svg) [out](https://example.com/x)\n```\n[no](b.md)\n```\n',
    docs: { 'a.md': '[one](../src/one.ts#L1) [top](../README.md) [licence](../LICENSE)\n', 'p.svg': '' },
    src: { 'one.ts': 'const a = `b`;\n', more: { 'two.mjs': '// ```\n' }, 'README.md': '# here\n' },
    LICENSE: 'MIT <licence>\n',
  });
  const pages = ['README.md', 'docs/a.md', 'src/README.md'];
  const linked = linkedFiles(root, pages);
  t.same(linked, ['LICENSE', 'src', 'src/one.ts']);
  t.same(sourceFiles(root, linked, pages), ['LICENSE', 'src', 'src/more', 'src/more/two.mjs', 'src/one.ts']);
  t.equal(
    sourcePage(root, 'src', path.join(root, 'src.md')),
    '# src\n\n- [README.md](src/README.md)\n- [more](src/more)\n- [one.ts](src/one.ts)\n',
  );
  t.equal(sourcePage(root, 'src/more/two.mjs', ''), '# src/more/two.mjs\n\n````js\n// ```\n````\n');
  t.equal(sourcePage(root, 'LICENSE', ''), '# LICENSE\n\n````text\nMIT <licence>\n````\n');
});

const packed = (data: unknown): string => deflateSync(Buffer.from(JSON.stringify(data))).toString('base64');

t.test('the check follows each link, and finds what leads nowhere', async (t) => {
  const site = {
    'index.html':
      '<html><head><link rel="stylesheet" href="assets/style.css"><script src="assets/main.js"></script></head>' +
      '<body id="top"><a href="docs/a.html#x&amp;y">a</a><a href="#top">b</a><a href="https://example.com/">c</a>' +
      '<img src="media/p.png" alt=""></body></html>',
    docs: { 'a.html': '<h2 id="x&amp;y">x</h2><a href="../index.html">up</a><script>"<a href=nowhere>"</script>' },
    media: { 'p.png': '' },
    assets: {
      'style.css': '.a{background:url("data:image/png;base64,x")}',
      'main.js': '"use strict";',
      'search.js': `window.searchData = "${packed({ rows: [{ url: 'docs/a.html#x&y' }] })}";`,
    },
  };
  t.match(checkSite(t.testdir(site)), { pages: 2, problems: [] });
  const problemsWith = (files: object): string[] => checkSite(t.testdir({ ...site, ...files })).problems;
  t.same(problemsWith({ docs: { 'a.html': '<h2 id="z">x</h2><a href="b.html">b</a><a href="..">up</a>' } }).sort(), [
    'docs/a.html: ..: no such file',
    'docs/a.html: b.html: no such file',
    'index.html: docs/a.html#x&y: no such place',
    'index.html: docs/a.html#x&y: no such place',
  ]);
});

t.test('the check finds what a page loads from elsewhere', async (t) => {
  const elsewhere = [
    '<script src="https://example.com/a.js"></script>',
    '<link rel="preload" href="//example.com/font.woff">',
    '<img src="a.png" srcset="a.png 1x, https://example.com/b.png 2x">',
    '<p style="background:url(https://example.com/c.png)">',
    '<style>@import "https://example.com/d.css";</style>',
  ];
  for (const tag of elsewhere) {
    const { problems } = checkSite(t.testdir({ 'index.html': tag, 'a.png': '' }));
    t.equal(problems.length, 1, tag);
    t.match(problems[0], /loads (https:)?\/\/example\.com/);
  }
  t.match(checkSite(t.testdir({ 'index.html': '', 'a.js': 'fetch("x")' })).problems, [
    'a.js: a script that loads something',
  ]);
});

t.test('tags', async (t) => {
  t.same(
    tagsOf(`<a href='x' title="1 > 0" download>y</a><!-- <b> --><br/>`).map(({ name, attributes }) => [
      name,
      ...attributes,
    ]),
    [['a', ['href', 'x'], ['title', '1 > 0'], ['download', '']], ['br']],
  );
});
