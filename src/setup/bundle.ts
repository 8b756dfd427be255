// SPDX-License-Identifier: MIT
/**
 * Makes a bundle of each entry, a single file, and its bytecode (V8's code cache), for src/native/node.ts to start; and
 * the page of `vnet-bpf web`. make runs it after the compiler. Packages stay outside, except those that every command
 * needs: the twenty files of yargs alone take 30 ms.
 *
 * In a bundle `__dirname` is that of its entry for every module, so names of files in dist start at `..`.
 */
import * as fs from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import * as path from 'node:path';
import * as v8 from 'node:v8';
import * as vm from 'node:vm';

import { build, type Plugin } from 'esbuild';
import type TypeScript from 'typescript';

import { READERS, WRITERS } from '../capture/formats';
import { COMMANDS } from '../cli/commands';
import type { QuickBundle } from '../cli/declarations';
import { compilerBytecode, compilerFile } from '../hooks/lookup';
import { transpiled } from '../hooks/typescript';
import { bundleOf, bundlesOf, bytecodeOf, compileModule, runModule, type Bundle } from '../native/node';

const DIST = path.resolve(__dirname, '..');
const ROOT = path.resolve(DIST, '..');
const BUNDLED = ['yargs', 'libbpf-ts', 'koffi'];

/** Modules of Node that everything uses, or that are loaded at its start anyway. */
const EAGER = ['fs', 'path', 'events', 'util', 'vm', 'module', 'buffer'];

/**
 * Functions of such a module that yargs calls whenever it starts, as versions that do not need the module in simple
 * cases.
 */
const OWN: Record<string, string> = {
  assert:
    'strictEqual: (...args) => Object.is(args[0], args[1]) || get().strictEqual(...args), notStrictEqual: (...args) => !Object.is(args[0], args[1]) || get().notStrictEqual(...args)',
};

/**
 * Loads Node's other modules only when something of them is used. TypeScript accesses imports through the module
 * (`crypto.randomBytes`), so an object that loads the module on access can replace it. `crypto` alone takes 10 ms.
 */
const lazily: Plugin = {
  name: 'lazily',
  setup({ onResolve, onLoad }) {
    const names = builtinModules.filter((name) => !EAGER.includes(name) && !name.startsWith('_'));
    onResolve({ filter: new RegExp(`^(node:)?(${names.join('|')})$`) }, ({ path: name, namespace }) =>
      namespace === 'lazily' ? { path: name, external: true } : { path: name, namespace: 'lazily' },
    );
    // An ES module for TypeScript's `import *`, which would copy every property of another kind, and so load it.
    onLoad({ filter: /.*/, namespace: 'lazily' }, ({ path: name }) => ({
      contents: `
        let loaded;
        const get = () => (loaded ??= require(${JSON.stringify(name)}));
        const own = { __esModule: true, get default() { return get(); }, ${OWN[name] ?? ''} };
        module.exports = new Proxy(own, {
          get: (_, key) => (key in own ? own[key] : get()[key]),
          has: (_, key) => key in get(),
          ownKeys: () => Reflect.ownKeys(get()),
          getOwnPropertyDescriptor: (_, key) => ({ configurable: true, enumerable: true, get: () => get()[key] }),
        });`,
    }));
  },
};

/** The file of the module that a row of a table loads: the one that exports what load() returns. */
function fileOf({ load }: { load: () => unknown }): string {
  const loaded = load();
  const module = Object.values(require.cache).find(
    (each) => each?.filename.startsWith(DIST) && Object.values(each.exports as object).includes(loaded),
  );
  if (!module) throw new Error(`no module exports what ${String(load)} returns`);
  return module.filename;
}

/** Leaves out of the bundle what the tables load for other commands; the program finds that outside. */
const onlyFor = (bundle: QuickBundle): Plugin => ({
  name: 'only-for',
  setup({ onResolve }) {
    const tables = ['../cli/commands', '../capture/formats'].map((table) => require.resolve(table));
    const kept = COMMANDS.filter(({ quick }) => quick?.bundle === bundle).map(fileOf);
    const others = [...COMMANDS, ...READERS, ...WRITERS].map(fileOf).filter((file) => !kept.includes(file));
    onResolve({ filter: /^\.\.?\// }, ({ path: name, importer }) =>
      tables.includes(importer) && others.includes(createRequire(importer).resolve(name))
        ? { path: name, external: true }
        : undefined,
    );
  },
});

/** Leaves a module of src/native out of a bundle, which then loads the module's own file. */
const without = (module: string): Plugin => ({
  name: `without-${module}`,
  setup: ({ onResolve }) =>
    onResolve({ filter: new RegExp(`^\\.(\\./native)?/${module}$`) }, () => ({
      path: `../native/${module}`,
      external: true,
    })),
});

/** Makes a bundle of an entry, beside it, under its own or another name. */
async function bundle(entry: string, name = entry, ...plugins: readonly Plugin[]): Promise<void> {
  const { dependencies } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const outfile = bundleOf(name);
  await build({
    entryPoints: [`${entry}.js`],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    external: [...Object.keys(dependencies).filter((name) => !BUNDLED.includes(name)), '@koromix/*'],
    plugins: [lazily, ...plugins],
    // yargs would ask for it when it is loaded, which loads the streams: 6 ms.
    define: { 'process.stdout.columns': 'undefined' },
    sourcemap: 'linked',
    // runEntry() calls this function; latin1 is read faster than UTF-8.
    banner: {
      js: `(function (require, module, __dirname) { const exports = module.exports, __filename = __dirname + "/${path.basename(outfile)}";`,
    },
    footer: { js: '})' },
    charset: 'ascii',
    minifyWhitespace: true,
    minifySyntax: true,
    logLevel: 'warning',
  });
  const wrong = /__dirname, *"(?!\.\.)[^"]*"/.exec(fs.readFileSync(outfile, 'latin1'));
  if (wrong) throw new Error(`${outfile}: a module names a file beside itself, which the bundle is not: (${wrong[0]})`);
}

/** Modules of Node stay outside: what the page uses of a file of src needs none of them. */
const withoutNode: Plugin = {
  name: 'without-node',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^node:/ }, ({ path: name }) => ({ path: name, external: true, sideEffects: false })),
};

/** Makes the page of `vnet-bpf web` of its sources: a script, a style sheet, and the document that names them. */
async function page(): Promise<void> {
  const source = path.join(ROOT, 'src', 'web', 'page');
  const outfile = path.join(DIST, 'web', 'page.js');
  await build({
    entryPoints: [path.join(source, 'main.tsx')],
    outfile,
    bundle: true,
    platform: 'browser',
    format: 'iife',
    target: ['chrome109', 'firefox115', 'safari16'],
    tsconfig: path.join(source, 'tsconfig.json'),
    plugins: [withoutNode],
    minify: true,
    legalComments: 'eof',
    logLevel: 'warning',
  });
  const left = /["'](node:\w+)["']/.exec(fs.readFileSync(outfile, 'utf8'));
  if (left) throw new Error(`${outfile}: a browser does not have ${left[1]}`);
  fs.copyFileSync(path.join(source, 'page.html'), path.join(DIST, 'web', 'page.html'));
}

/**
 * Compiles a bundle, runs it with each list of arguments, and keeps the bytecode of all functions that were called. A
 * command that fails here (because root or a library is missing) merely has no bytecode.
 */
async function cache(name: string, commands: readonly string[][], eagerly = false): Promise<void> {
  const file = bundleOf(name);
  if (eagerly) v8.setFlagsFromString('--no-lazy');
  // V8 stores the name with the bytecode, and shows it in stack traces on every machine.
  const script = new vm.Script(fs.readFileSync(file, 'latin1'), {
    filename: path.join('vnet-bpf', path.relative(ROOT, file)),
  });
  v8.setFlagsFromString('--lazy'); // V8 keeps a hash of its flags with the bytecode
  const run = script.runInThisContext() as Bundle;
  const node = createRequire(__filename)('node:fs') as Record<'writeSync' | 'openSync', (...args: never[]) => number>;
  const { writeSync, openSync } = node;
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = () => true;
  node.writeSync = (fd: number, bytes: Buffer, ...rest: never[]) =>
    fd < 3 ? bytes.length : writeSync(fd as never, bytes as never, ...rest);
  // src/native/standard-streams.ts opens pipes again.
  node.openSync = (file: string, ...rest: never[]) =>
    /^\/proc\/self\/fd\/[12]$/.test(file) ? Number(file.slice(-1)) : openSync(file as never, ...rest);
  for (const args of commands) {
    process.argv = [process.execPath, path.join(DIST, 'cli', 'main.js'), ...args];
    try {
      run(createRequire(file), { exports: {} }, path.dirname(file));
    } catch {
      // The entry of a thread requires a thread.
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  Object.assign(node, { writeSync, openSync });
  process.stdout.write = write;
  process.exitCode = 0;
  fs.writeFileSync(bytecodeOf(file), script.createCachedData());
}

/**
 * Makes the bytecode of what the TypeScript compiler calls for a hook: half of the time that attaching with a hook
 * takes.
 */
function cacheCompiler(): void {
  const file = compilerFile();
  if (file === null) throw new Error('the package typescript is not installed');
  const script = compileModule(file, null, path.join('vnet-bpf', path.relative(ROOT, file)));
  const ts = runModule(script, file) as typeof TypeScript;
  const source = fs.readFileSync(path.join(ROOT, 'src', 'examples', 'tcp-echo.ts'), 'utf8');
  ts.isExternalModule(ts.createSourceFile('hook.ts', source, ts.ScriptTarget.ES2022));
  for (const format of ['commonjs', 'module'] as const) transpiled(ts, source, 'hook.ts', format);
  fs.writeFileSync(compilerBytecode(file), script.createCachedData());
}

async function main(): Promise<void> {
  process.setMaxListeners(0); // each run of a command adds those of a process
  cacheCompiler();
  await page();
  const program = path.join(DIST, 'cli', 'program');
  const quick = COMMANDS.flatMap(({ name, quick }) =>
    quick ? [{ name, bundle: quick.bundle, line: [name, ...quick.trial] }] : [],
  );
  await bundle(program);
  await cache(program, [
    ['--help'],
    ...COMMANDS.slice(0, 1).map(({ name }) => [name, '--help']),
    ...quick.map(({ line }) => line),
  ]);
  for (const each of new Set(quick.map(({ bundle }) => bundle))) {
    const name = path.join(DIST, 'cli', each.name);
    await bundle(program, name, onlyFor(each));
    await cache(
      name,
      quick.filter(({ bundle }) => bundle === each).map(({ line }) => line),
      each.bytecode === 'all',
    );
  }
  fs.writeFileSync(
    bundlesOf(program),
    JSON.stringify(Object.fromEntries(quick.map(({ name, bundle }) => [name, bundle.name]))),
  );
  for (const [directory, name] of [
    ['datapath', 'worker'],
    ['hooks', 'worker'],
    ['hooks', 'ring-bell-worker'],
  ] as const) {
    const thread = path.join(DIST, directory, name);
    await bundle(thread, thread, without('import'));
    await cache(thread, [[]], true);
  }
  const waiting = path.join(DIST, 'cli', 'wait-for-daemon');
  // Of koffi it would need something only in rare cases.
  await bundle(waiting, waiting, without('libc'));
  await cache(waiting, [], true); // it would start a process
}

void main();
