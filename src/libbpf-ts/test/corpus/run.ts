// SPDX-License-Identifier: MIT
/**
 * Loads other people's objects with libbpf in C and with this package, and compares: `make test-corpus`, as root.
 *
 * The objects are those of Debian's packages that ship some, in files or in their programs, and the kernel's own in C, its
 * selftests above all, that the compiler here takes. Everything is fetched into .cache/corpus, or the directory that
 * VNET_BPF_CORPUS names, and stays there; other arguments are directories with objects of one's own.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';

import { compileStrictly } from '../helpers/generated';
import { compare, type InC, type Outcomes } from './compare';
import { fetchCorpus, nameOf, objectsIn } from './fetch';
import type { Memory, Outcome } from './try';

const CACHE = resolve(process.env['VNET_BPF_CORPUS'] ?? '.cache/corpus');
const MODULES = join(CACHE, 'modules');

const say = (line: string): void => console.log(`corpus: ${line}`);

/** Runs a program with a BPF file system of its own: maps that objects pin would be found by the next run. */
async function apart(args: readonly string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn('unshare', ['-m', 'sh', '-c', 'mount -t bpf bpf /sys/fs/bpf && exec "$@"', 'sh', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return { status: child.exitCode, stdout, stderr };
}

/** What libbpf in C says of each. */
async function withC(paths: readonly string[]): Promise<Map<string, InC>> {
  const program = join(CACHE, 'load');
  execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, join(__dirname, 'load.c'), '-lbpf']);
  const { status, stdout, stderr } = await apart([program, ...paths]);
  if (status !== 0) throw new Error(`${program}: ${stderr}`);
  return new Map(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t'))
      .map(([path, outcome, errno]) => [path!, { outcome, errno: Number(errno) } as InC]),
  );
}

/** What this package says; an object that ends the process is `crashed`, and the next process goes on behind it. */
async function withPackage(paths: readonly string[]): Promise<{ outcomes: Outcomes; memory: Memory | undefined }> {
  const outcomes: Outcomes = new Map();
  const program = join(__dirname, `try${__filename.slice(-3)}`);
  const typescript = __filename.endsWith('.ts') ? ['-r', 'ts-node/register/transpile-only'] : [];
  for (let rest = [...paths]; ;) {
    const command = [process.execPath, '--expose-gc', ...typescript, program, MODULES, ...rest];
    const { status, stdout, stderr } = await apart(command);
    let memory: Memory | undefined;
    for (const line of stdout.trim().split('\n').filter(Boolean)) {
      const said = JSON.parse(line) as Outcome | Memory;
      if ('passes' in said) memory = said;
      else outcomes.set(said.path, said);
    }
    rest = rest.filter((path) => !outcomes.has(path));
    if (status === 0) return { outcomes, memory };
    const lines = stderr.trim().split('\n');
    const culprit = lines.filter((line) => rest.includes(line)).at(-1);
    if (culprit === undefined) throw new Error(stderr);
    outcomes.set(culprit, 'crashed');
    say(`${culprit} ended the process: ${lines.slice(-5).join('\n')}`);
    rest = rest.filter((path) => path !== culprit);
  }
}

/** One run of tsc over all that was generated. */
function compileAll(): { modules: number; errors: string[] } {
  const modules = new Map(
    readdirSync(MODULES).map((file) => [file.slice(0, -3), readFileSync(join(MODULES, file), 'utf8')]),
  );
  const errors = compileStrictly(modules)
    .split('\n')
    .filter((line) => /error TS\d+/.test(line));
  return { modules: modules.size, errors };
}

async function main(own: readonly string[]): Promise<number> {
  mkdirSync(CACHE, { recursive: true });
  const directories = own.length > 0 ? own.map((directory) => resolve(directory)) : fetchCorpus(CACHE);
  const paths = directories.flatMap(objectsIn);
  const names = new Set(paths.map(nameOf));
  if (names.size !== paths.length) throw new Error('two objects have one name');
  say(`${paths.length} objects`);
  rmSync(MODULES, { recursive: true, force: true });
  mkdirSync(MODULES);
  const [theirs, { outcomes, memory }] = await Promise.all([withC(paths), withPackage(paths)]);
  say('loaded; compiling what was generated');
  const { modules, errors } = compileAll();
  const { problems, lines, errorTexts } = compare(paths, theirs, outcomes, memory);
  problems.push(...errors);
  writeFileSync(join(CACHE, 'errors.txt'), `${errorTexts.join('\n')}\n`);
  for (const problem of problems) console.log(problem);
  for (const line of lines) say(line);
  say(`${modules} generated modules, ${errors.length} errors of tsc; errors of loading are in ${CACHE}/errors.txt`);
  say(`${problems.length} problems after ${Math.round(performance.now() / 1000)} s`);
  return problems.length === 0 ? 0 : 1;
}

void main(process.argv.slice(2)).then((code) => (process.exitCode = code));
