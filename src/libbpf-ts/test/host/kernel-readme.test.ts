// SPDX-License-Identifier: MIT
// The package as its README shows it, with a real compiler: the first example, with its files and commands as they are
// written there, and the command `libbpf-ts types`.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Example } from '../helpers/example';
import { skipUnlessRoot } from '../helpers/kernel';
import { TestNetns } from '../helpers/netns';

const root = join(__dirname, '..', '..');

/** The blocks of code of a section, by the file that their first line names, or else `commands`. */
function filesOf(section: string): Map<string, string> {
  const text = readFileSync(join(root, 'README.md'), 'utf8').split(`## ${section}\n`)[1]!.split('\n## ')[0]!;
  const files = new Map<string, string>();
  for (const [, code] of text.matchAll(/^```\w+\n(.*?)^```$/gms)) {
    const name = /^\/\/ (\S+)\n/.exec(code!)?.[1] ?? 'commands';
    files.set(name, (files.get(name) ?? '') + code!);
  }
  return files;
}

t.test('count packets', { skip: skipUnlessRoot }, async (t) => {
  const files = filesOf('Example: count packets');
  t.same([...files.keys()].sort(), ['commands', 'count.bpf.c', 'count.ts']);
  const code = `${files.get('count.bpf.c')}${files.get('count.ts')}`.split('\n').filter((line) => line.trim() && !line.startsWith('//'));
  t.ok(code.length <= 30, `${code.length} lines`);

  const directory = mkdtempSync(join(tmpdir(), 'libbpf-ts-readme-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  for (const [name, text] of files) writeFileSync(join(directory, name), text);
  // In the place of npm install.
  mkdirSync(join(directory, 'node_modules'));
  symlinkSync(root, join(directory, 'node_modules', 'libbpf-ts'));

  const commands = files.get('commands')!.trim().split('\n');
  const clang = commands.find((line) => line.startsWith('clang '))!;
  execFileSync('sh', ['-c', clang], { cwd: directory });
  const [npx, tsx, program, device] = commands.at(-1)!.split(' ');
  t.same([npx, tsx, program, device], ['npx', 'tsx', 'count.ts', 'lo']);

  using netns = new TestNetns('readme');
  netns.ip('link', 'set', 'lo', 'up');
  await using example = new Example(directory, join(directory, program!), [device!], ['ip', 'netns', 'exec', netns.name]);
  // The program says nothing until it is done; it has begun once its filter is there.
  let sent = 0;
  while (example.running) {
    netns.inside(() => execFileSync('ping', ['-c1', '-W1', '127.0.0.1'], { stdio: 'ignore' }));
    sent += 2; // request and reply
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  t.equal(await example.end(), 0);
  const seen = Number(/^(\d+) packets in 5 s through (tcx|clsact)$/m.exec(example.output)?.[1]);
  t.ok(seen > 0 && seen <= sent, `${seen} of ${sent}`);
});
