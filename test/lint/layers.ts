// SPDX-License-Identifier: MIT
/**
 * The layout of src: imports point downwards, those of types and those within functions included; no file imports
 * itself by way of others; no file has more than LINES_MAX lines; docs/architecture.md shows the same order.
 */
import { existsSync, readFileSync } from 'node:fs';
import * as path from 'node:path';

import * as ts from 'typescript';

import { walk } from './tree';

/**
 * Folders of src from top to bottom. A file imports from its own folder and from those below; everything may import
 * `root`, the files in src itself.
 */
const ORDER = [
  'setup',
  'cli',
  'web',
  'top',
  'demo',
  'doctor',
  'step',
  'explore',
  'testing',
  'nic',
  'lifecycle',
  'controller',
  'capture',
  'control',
  'metrics',
  'hooks',
  'datapath',
  'faults',
  'impair',
  'link',
  'state',
  'options',
  'terminal',
  'packet',
  'native',
  'root',
];
/** What others import or name by its path; it stands above all folders. */
const ENTRIES = ['index', 'examples'];
/** A package of its own, which src imports by name only. */
const LIBBPF = ['libbpf-ts/test', 'libbpf-ts/examples', 'libbpf-ts/src', 'libbpf-ts/src/native'];
const LINES_MAX = 400;
const PICTURE = 'docs/architecture.md';

const problems: string[] = [];

/** The layers of a file's own package, and which of them it is in. */
function place(file: string): { layers: readonly string[]; layer: string } {
  const parts = path
    .relative('src', file)
    .replace(/\.tsx?$/, '')
    .split('/');
  if (parts[0] === 'libbpf-ts')
    return { layers: LIBBPF, layer: parts.slice(0, parts[2] === 'native' ? 3 : 2).join('/') };
  const [folder = ''] = parts;
  return { layers: [...ENTRIES, ...ORDER], layer: parts.length > 1 || ENTRIES.includes(folder) ? folder : 'root' };
}

function importsOf(file: string, text: string): string[] {
  const names = ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
  const bases = names.filter((name) => name.startsWith('.')).map((name) => path.join(path.dirname(file), name));
  return bases.flatMap((base) =>
    [`${base}.ts`, `${base}.tsx`, `${base}/index.ts`].filter((each) => existsSync(each)).slice(0, 1),
  );
}

function checkDirection(from: string, to: string): void {
  const [above, below] = [place(from), place(to)];
  if (above.layers[0] !== below.layers[0]) problems.push(`${from}: imports ${to}, which is in another package`);
  else if (above.layers.indexOf(above.layer) > below.layers.indexOf(below.layer))
    problems.push(`${from}: imports ${to}: ${below.layer} is above ${above.layer}`);
}

/** Reports each circle once, as the files on it. */
function checkCircles(graph: ReadonlyMap<string, readonly string[]>): void {
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (file: string): void => {
    const at = way.indexOf(file);
    if (at >= 0) problems.push(`${way.slice(at).join(' -> ')} -> ${file}: a circle`);
    if (at >= 0 || done.has(file)) return;
    way.push(file);
    graph.get(file)?.forEach(visit);
    way.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
}

const graph = new Map<string, readonly string[]>();
for (const file of walk('src').filter((each) => /\.tsx?$/.test(each))) {
  const text = readFileSync(file, 'utf8');
  const { layers, layer } = place(file);
  if (!layers.includes(layer)) problems.push(`${file}: test/lint/layers.ts does not know the folder ${layer}`);
  const lines = text.split('\n').length - 1;
  if (lines > LINES_MAX) problems.push(`${file}: has ${lines} lines, ${LINES_MAX} are allowed`);
  const imports = importsOf(file, text);
  imports.forEach((each) => checkDirection(file, each));
  graph.set(
    file,
    imports.filter((each) => each !== file),
  );
}
checkCircles(graph);

// One folder per line, after the heading; the rest of the line says what it contains.
const picture = /\n## Folders\n[\s\S]*?\n```\n([\s\S]*?)```/.exec(readFileSync(PICTURE, 'utf8'))?.[1] ?? '';
const shown = picture.split('\n').flatMap((line) => /^ *([a-z]+) {2}/.exec(line)?.[1] ?? []);
if (shown.join() !== ORDER.join())
  problems.push(`${PICTURE}: shows the order ${shown.join(' ')}, not ${ORDER.join(' ')}`);

for (const problem of problems) console.error(problem);
if (graph.size < 100 || problems.length > 0) {
  console.error(`lint: ${problems.length} problems with the layout of ${graph.size} files of src`);
  process.exit(1);
}
