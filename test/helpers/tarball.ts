// SPDX-License-Identifier: MIT
/**
 * The project as its users get it: packed, and installed where neither its sources nor a compiler can be found.
 * npm install is slow, so a test file does it once.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import type { Test } from 'tap';

import { ROOT } from './cli';
import type { Installed } from './installed';
import { ok } from './netns';
import { installArguments, npmEnvironment, packCommands } from './npm';

const npm = (cwd: string, program: string, ...args: string[]): string =>
  ok(program, args, { cwd, env: npmEnvironment() });

/**
 * Shell commands for a private mount namespace: the source directory becomes empty, and build tools cannot be executed.
 */
export const HIDE_SOURCE = `
mount -t tmpfs -o mode=0755,ro tmpfs '${ROOT}'
for name in clang gcc cc g++ c++ make cmake; do
  if file=$(command -v "$name"); then mount --bind /dev/null "$(realpath "$file")"; fi
done
`;

export interface InstalledTarball extends Installed {
  /** npm's prefix, which contains bin/ and lib/node_modules/. */
  prefix: string;
  /** Bytes of all its files. */
  bytes: number;
}

function bytesOf(directory: string): number {
  return fs.readdirSync(directory, { withFileTypes: true }).reduce((sum, entry) => {
    const file = path.join(directory, entry.name);
    return sum + (entry.isDirectory() ? bytesOf(file) : fs.lstatSync(file).size);
  }, 0);
}

/**
 * `npm pack`, and `npm i -g` of vnet-bpf and libbpf-ts into an empty prefix; all of it is removed when the test ends.
 */
export function installTarball(t: Test): InstalledTarball {
  // The prefix is not below /run, because a private machine has another /run.
  const prefix = fs.mkdtempSync('/srv/vnet-bpf-prefix-');
  t.teardown(() => fs.rmSync(prefix, { recursive: true, force: true }));
  for (const [program, args] of packCommands(prefix)) npm(ROOT, program, ...args);
  const tarballs = fs
    .readdirSync(prefix)
    .filter((name) => name.endsWith('.tgz'))
    .map((name) => `./${name}`);
  npm(
    prefix,
    'unshare',
    '--mount',
    'sh',
    '-ec',
    `${HIDE_SOURCE}exec npm "$@"`,
    'sh',
    ...installArguments(prefix, ...tarballs),
  );
  const root = path.join(prefix, 'lib', 'node_modules', 'vnet-bpf');
  return { prefix, root, bin: path.join(prefix, 'bin', 'vnet-bpf'), bytes: bytesOf(root) };
}
