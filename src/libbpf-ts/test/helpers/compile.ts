// SPDX-License-Identifier: MIT
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Compiles NAME.bpf.c, in test/bpf unless said, into a temporary directory, which is removed when the process ends. */
export function compile(name: string, sources = join(__dirname, '..', 'bpf')): string {
  const directory = mkdtempSync(join(tmpdir(), 'libbpf-ts-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const object = join(directory, `${name}.bpf.o`);
  const source = join(sources, `${name}.bpf.c`);
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const flags = ['-target', 'bpf', '-g', '-O2', '-mcpu=v3', `-I/usr/include/${machine}-linux-gnu`];
  execFileSync('clang', [...flags, '-c', source, '-o', object], { stdio: ['ignore', 'inherit', 'inherit'] });
  return object;
}
