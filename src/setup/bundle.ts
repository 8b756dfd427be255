// SPDX-License-Identifier: MIT
/**
 * Makes dist/cli/bundle.js, the command line in one file, and its bytecode (V8's code cache), for main.ts to start.
 * Run by make after the compiler. Packages stay outside, but for yargs, which every command needs: its twenty files
 * take 30 ms. A cache that another version of Node would not take is ignored by it.
 *
 * In the bundle `__dirname` is dist/cli for every module: what names a file of dist starts at `..`.
 */
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import * as vm from 'node:vm';

import { buildSync } from 'esbuild';

const CLI = path.resolve(__dirname, '..', 'cli');
const BUNDLE = path.join(CLI, 'bundle.js');
const ROOT = path.resolve(__dirname, '..', '..');
const BUNDLED = ['yargs', 'libbpf-ts'];

/** Functions that these commands have called are in the cache, too. */
const WARM_UP = [['--help'], ['stats', '--help'], ['attach', '--help']];

function bundle(): void {
  const { dependencies } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
  const external = Object.keys(dependencies).filter((name) => !BUNDLED.includes(name));
  buildSync({
    entryPoints: [path.join(CLI, 'program.js')],
    outfile: BUNDLE,
    bundle: true,
    platform: 'node',
    target: 'node20',
    external,
    sourcemap: 'linked',
    // main.ts calls it; latin1 is read faster than UTF-8.
    banner: { js: '(function (require, module, __dirname) { const exports = module.exports, __filename = __dirname + "/bundle.js";' },
    footer: { js: '})' },
    charset: 'ascii',
    minifyWhitespace: true,
    minifySyntax: true,
    logLevel: 'warning',
  });
  const wrong = /__dirname, *"(?!\.\.)[^"]*"/.exec(fs.readFileSync(BUNDLE, 'latin1'));
  if (wrong) throw new Error(`a module names a file beside itself, which the bundle is not: (${wrong[0]})`);
}

/** Compiles it, runs what every command runs, and keeps the bytecode of both. */
async function cache(): Promise<void> {
  const script = new vm.Script(fs.readFileSync(BUNDLE, 'latin1'), { filename: BUNDLE });
  const run = script.runInThisContext() as (require: NodeJS.Require, module: { exports: object }, directory: string) => void;
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = () => true;
  for (const args of WARM_UP) {
    process.argv = [process.execPath, path.join(CLI, 'main.js'), ...args];
    run(createRequire(path.join(CLI, 'main.js')), { exports: {} }, CLI);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  process.stdout.write = write;
  fs.writeFileSync(`${BUNDLE}.cache`, script.createCachedData());
}

bundle();
void cache();
