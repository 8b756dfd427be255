// SPDX-License-Identifier: MIT
/**
 * tap in one file: finding and reading its 250 modules takes an emulated processor seconds, and half a second here.
 * `tap-bundle.ts FILE` writes it.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildSync } from 'esbuild';

/**
 * tap's command line and compilers, which the guest does not need: it runs test files directly, compiled on the host.
 */
const leftOut = [
  '@tapjs/run',
  '@tapjs/typescript',
  '@isaacs/ts-node-temp-fork-for-pr-2009',
  'typescript',
  '@typescript/native-preview',
  'react-dom',
];

/** What changes when tap, or what it is built with, does. */
export const tapStamps = (repository: string): string[] =>
  ['node_modules/.package-lock.json', 'dist-test/.tap-built'].map((name) => path.join(repository, name));

export function tapBundle(repository: string): Uint8Array {
  const { outputFiles } = buildSync({
    entryPoints: [require.resolve('tap', { paths: [repository] })],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    external: leftOut,
    write: false,
    logLevel: 'error',
  });
  return outputFiles[0]!.contents;
}

if (require.main === module) writeFileSync(process.argv[2]!, tapBundle(path.resolve(__dirname, '..', '..')));
