// SPDX-License-Identifier: MIT
// Compiles on the host what the guest runs: TypeScript to JavaScript, because ts-node would take half a minute
// there (file by file without type checks, because those are the business of `make check`), and the BPF programs
// of the tests, because the guest has no clang.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { run } from './command';
import { cache } from './paths';

export interface Compiled {
  readonly path: string;
  readonly text: string;
}

/** Every .ts file below a directory of the repository, under the same path with .js. */
export function compileTree(
  repository: string,
  directory: string,
  skip: (file: string) => boolean = () => false,
): Compiled[] {
  return sources(path.join(repository, directory), (name) => /\.ts$/.test(name) && !name.endsWith('.d.ts'))
    .map((file) => path.relative(repository, file))
    .filter((file) => !skip(file))
    .map((file) => ({ path: file.replace(/\.ts$/, '.js'), text: compile(path.join(repository, file)) }));
}

function compile(file: string): string {
  return ts.transpileModule(readFileSync(file, 'utf8'), {
    fileName: file,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.CommonJS,
      esModuleInterop: true,
      // Stack traces of the guest are read on the host: line numbers must be those of the source.
      inlineSourceMap: true,
    },
  }).outputText;
}

/** Every .bpf.c file below a directory of the repository, under the same path with .bpf.o. */
export function compileBpf(repository: string, directory: string): { path: string; content: Buffer }[] {
  return sources(path.join(repository, directory), (name) => name.endsWith('.bpf.c')).map((file) => {
    const include = `-I/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
    const scratch = mkdtempSync(path.join(cache('images'), 'bpf-'));
    try {
      const object = path.join(scratch, 'object.o');
      const target = `-D__TARGET_ARCH_${process.arch === 'arm64' ? 'arm64' : 'x86'}`;
      run('clang', ['-target', 'bpf', '-g', '-O2', '-mcpu=v3', target, include, '-c', file, '-o', object]);
      return { path: path.relative(repository, file).replace(/\.c$/, '.o'), content: readFileSync(object) };
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });
}

/** What compiled files are made of, and what makes them. */
export const sourcesIn = (directory: string): string[] => sources(directory, (name) => /\.(ts|c|h)$/.test(name));

function sources(directory: string, wanted: (name: string) => boolean): string[] {
  let entries;
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries.flatMap((entry) => {
    const file = path.join(directory, entry.name);
    if (entry.isDirectory()) return ['node_modules', 'dist'].includes(entry.name) ? [] : sources(file, wanted);
    return wanted(entry.name) ? [file] : [];
  });
}
