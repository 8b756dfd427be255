// SPDX-License-Identifier: MIT
// The package as its users get it: packed by npm and installed in an empty directory, beside nothing but what it depends
// on. There the program of the README runs, with the files and commands that are written there.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import t from 'tap';

import { Example, skipUnlessRoot, TestTracefs } from '../helpers/machine';

const root = join(__dirname, '..', '..');
const { name, version } = require('../../package.json') as { name: string; version: string };

/** make removes the variable from the environment, and npm needs it. */
const CERTIFICATES = process.env['VNET_BPF_CERTIFICATES'] ?? process.env['NODE_EXTRA_CA_CERTS'];

function npm(directory: string, ...args: string[]): string {
  const env = { ...process.env, NODE_OPTIONS: '', ...(CERTIFICATES && { NODE_EXTRA_CA_CERTS: CERTIFICATES }) };
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
  return execFileSync('npm', [...args, ...quiet], { cwd: directory, env, encoding: 'utf8' });
}

const directory = mkdtempSync(join(tmpdir(), 'libbpf-ts-tarball-'));
t.teardown(() => rmSync(directory, { recursive: true }));

/** Runs a program in the directory. */
function node(...args: string[]): { status: number | null; output: string } {
  const env = { ...process.env, NODE_OPTIONS: '' };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: directory, env, encoding: 'utf8' });
  return { status, output: (stdout + stderr).trim() };
}

t.test('what npm packs', async (t) => {
  const [packed] = JSON.parse(npm(root, 'pack', '--json', '--pack-destination', directory)) as [
    { filename: string; files: { path: string }[] },
  ];
  t.equal(packed.filename, `libbpf-ts-${version}.tgz`);
  const files = packed.files.map((file) => file.path);
  const outside = files.filter((file) => !/^(dist|examples)\//.test(file));
  t.same(outside.sort(), ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']);
  t.same(
    files.filter((file) => /\.map$|\.tsbuildinfo$|(^|\/)\.|test/.test(file)),
    [],
    'and nothing that only developers need',
  );
  for (const file of ['dist/index.js', 'dist/index.d.ts', 'dist/cli.js']) t.ok(files.includes(file), file);
  for (const example of readdirSync(join(root, 'examples'))) t.ok(files.includes(`examples/${example}`), example);
});

t.test('the changelog begins with this version', async (t) => {
  const [, newest] = /^## (\S+)$/m.exec(readFileSync(join(root, 'CHANGELOG.md'), 'utf8'))!;
  t.equal(newest, version);
});

t.test('installed in an empty directory', async (t) => {
  writeFileSync(join(directory, 'package.json'), '{ "private": true }');
  npm(directory, 'install', '--prefer-offline', `./libbpf-ts-${version}.tgz`);
  const modules = readdirSync(join(directory, 'node_modules')).filter((file) => !file.startsWith('.'));
  t.same(modules.sort(), ['@koromix', 'koffi', name], 'no other packages');
  const use = `console.log(typeof BpfObject.open, typeof attachXdp, ctypes.u32.size, libbpfVersion().slice(0, 2))`;
  const expected = { status: 0, output: 'function function 4 v1' };
  const names = '{ attachXdp, BpfObject, ctypes, libbpfVersion }';
  t.same(node('-e', `const ${names} = require('libbpf-ts'); ${use}`), expected, 'CommonJS');
  t.same(node('--input-type=module', '-e', `import ${names} from 'libbpf-ts'; ${use}`), expected, 'ES module');
  t.equal(node('-p', "require('libbpf-ts/package.json').version").output, version);
});

/** The blocks of code of a section, by the file that their first line names, or else `commands`. */
function filesOf(section: string): Map<string, string> {
  const text = readFileSync(join(root, 'README.md'), 'utf8').split(`## ${section}\n`)[1]!.split('\n## ')[0]!;
  const files = new Map<string, string>();
  for (const [, code] of text.matchAll(/^```\w+\n(.*?)^```$/gms)) {
    const file = /^\/\/ (\S+)\n/.exec(code!)?.[1] ?? 'commands';
    files.set(file, (files.get(file) ?? '') + code!);
  }
  return files;
}

t.test('the program of the README', { skip: skipUnlessRoot }, async (t) => {
  const files = filesOf('In a minute');
  t.same([...files.keys()].sort(), ['commands', 'execs.bpf.c', 'execs.ts']);
  const code = `${files.get('execs.bpf.c')}${files.get('execs.ts')}`
    .split('\n')
    .filter((line) => line.trim() && !line.startsWith('//'));
  t.ok(code.length <= 30, `${code.length} lines`);
  for (const [file, text] of files) writeFileSync(join(directory, file), text);

  const commands = files.get('commands')!.trim().split('\n');
  t.match(commands, [
    /^apt-get install /,
    /^npm install libbpf-ts /,
    /^clang /,
    /^npx libbpf-ts generate /,
    /^npx tsx /,
  ]);
  execFileSync('sh', ['-c', commands[2]!], { cwd: directory });
  execFileSync('sh', ['-c', commands[3]!.replace('npx ', 'node_modules/.bin/')], { cwd: directory });
  t.equal(commands[4], 'npx tsx execs.ts');

  using _tracefs = new TestTracefs();
  await using example = new Example(directory, join(directory, 'execs.ts'), []);
  // The program says nothing before it sees something.
  while (example.running && !/ true$/m.test(example.output)) {
    execFileSync('true');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { pid } = spawnSync('true');
  await example.prints(new RegExp(`^${pid} true$`, 'm'));
});

t.test('its types, in a strict project that has none of those of Node.js', async (t) => {
  const options =
    '--noEmit --strict --skipLibCheck --target es2022 --lib es2022,esnext.disposable --module nodenext'.split(' ');
  writeFileSync(
    join(directory, 'use.ts'),
    `import { BpfObject, type Link } from 'libbpf-ts';
using object = BpfObject.open('x.bpf.o');
export const link: Link = object.program('x').attach() as Link;
`,
  );
  const tsc = node(require.resolve('typescript/bin/tsc'), ...options, 'use.ts');
  t.same(tsc, { status: 0, output: '' });
});
