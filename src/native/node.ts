// SPDX-License-Identifier: MIT
/** How Node.js runs this program: from bytecode, without an inspector, and without warnings about itself. */
import * as fs from 'node:fs';
import Module, { createRequire } from 'node:module';
import * as path from 'node:path';
import * as vm from 'node:vm';
import { Worker, type WorkerOptions } from 'node:worker_threads';

// Bundles and bytecode, prepared by src/setup/bundle.ts: finding, reading and compiling a hundred modules takes longer
// than most commands, and so does compiling TypeScript's compiler.

/** A bundle: a function of what Node gives to a module. */
export type Bundle = (require: NodeJS.Require, module: { exports: object }, directory: string) => void;

export const bundleOf = (entry: string): string => `${entry}.bundle.js`;
export const bytecodeOf = (bundle: string): string => `${bundle}.cache`;
/** The file that says, as JSON, which commands of an entry have a bundle other than the entry's. */
export const bundlesOf = (entry: string): string => `${entry}.bundles.json`;

function read(file: string): Buffer | null {
  try {
    return fs.readFileSync(file);
  } catch {
    return null; // not made
  }
}

/** The name of the bundle that has this command of an entry; undefined if that is the entry's. */
export function bundleFor(entry: string, command: string): string | undefined {
  const bundles = JSON.parse(read(bundlesOf(entry))?.toString() ?? '{}') as Record<string, string>;
  return Object.hasOwn(bundles, command) ? bundles[command] : undefined;
}

/**
 * Runs the module `entry`, a path without its ending, from its bundle, or from the bundle `name` beside it. If there is
 * none, runs the module's own file.
 */
export function runEntry(
  entry: string,
  require: NodeJS.Require,
  module: NodeJS.Module,
  name = path.basename(entry),
): void {
  const bundle = bundleOf(path.join(path.dirname(entry), name));
  const source = read(bundle);
  if (source === null) return void require(entry);
  // Another version of Node rejects the bytecode, and compiles the source.
  const cachedData = read(bytecodeOf(bundle));
  const script = new vm.Script(source.toString('latin1'), { filename: bundle, ...(cachedData && { cachedData }) });
  (script.runInThisContext() as Bundle)(require, module, path.dirname(entry));
}

/** Starts a thread that runs the module `entry`, a path below `dist` without its ending. The caller reads its output. */
export const startThread = (entry: string, options: WorkerOptions): Worker =>
  new Worker(path.join(__dirname, '..', 'native', 'thread.js'), {
    ...options,
    argv: [path.join(__dirname, '..', entry)],
    stdout: true,
    stderr: true,
  });

/**
 * Compiles a CommonJS module that is one large file. V8 keeps `filename` with the bytecode, and shows it in stack
 * traces.
 */
export function compileModule(file: string, cachedData: Buffer | null, filename = file): vm.Script {
  return new vm.Script(Module.wrap(fs.readFileSync(file, 'utf8')), { filename, ...(cachedData && { cachedData }) });
}

/** Runs such a script; returns what the module exports. */
export function runModule(script: vm.Script, file: string): object {
  const module = { exports: {} };
  type Wrapper = (
    exports: object,
    require: NodeJS.Require,
    module: object,
    filename: string,
    directory: string,
  ) => void;
  (script.runInThisContext() as Wrapper)(module.exports, createRequire(file), module, file, path.dirname(file));
  return module.exports;
}

/**
 * Loads such a module, with its bytecode if there is any for this version of Node: TypeScript then takes a third of the
 * time.
 */
export const loadWithBytecode = (file: string, bytecode: string): object =>
  runModule(compileModule(file, read(bytecode)), file);

// The inspector of Node, which must not open: any user of the machine could run code in this process through it. Node
// listens on 127.0.0.1:9229 after a SIGUSR1, which log rotation and operators send to daemons.

/**
 * When to check whether a signal came before our first line, in milliseconds: a short command has ended by then, and
 * pays nothing. Node acts on such a signal in three ways, the last of them in the event loop; what was closed before
 * that opens again.
 */
const LOOK_MS = [300, 3000] as const;

/** Whether the caller wants to debug this process. */
const isWanted = (): boolean =>
  [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(' ')].some((option) =>
    /^--inspect(-brk|-wait)?(=|$)/.test(option),
  );

/**
 * Makes SIGUSR1 do nothing from now on: Node leaves the signal to a listener if there is one. The effect of an earlier
 * signal is undone.
 */
export function ignoreInspectorSignal(): void {
  process.on('SIGUSR1', () => undefined);
  if (isWanted()) return;
  for (const ms of LOOK_MS) setTimeout(() => setImmediate(closeInspector), ms).unref();
}

function closeInspector(): void {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- takes a millisecond, which most commands need not pay
  const inspector = require('node:inspector') as typeof import('node:inspector');
  if (inspector.url() !== undefined) inspector.close();
}

/** Whether this version of Node knows --disable-sigusr1: 22.14 does, and 23.7 and later. */
function canDisable(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 7) || (major === 22 && minor >= 14);
}

/**
 * Options for a Node process that is started, for the time until its first line runs. A version without that option is
 * given an inspector address that no machine has (0.0.0.0/8 cannot be listened on), so that the inspector reports that
 * and does not open.
 */
export const withoutInspector = (): string[] => [canDisable() ? '--disable-sigusr1' : '--inspect-port=0.0.0.1:9229'];

// Warnings that Node.js prints about itself. They mean nothing to a user of this program, and appear where the
// program's own line is expected.

/** Warnings by which a newer version of Node.js asks its own users to write something differently. */
const ABOUT_NODE: readonly string[] = ['DeprecationWarning', 'ExperimentalWarning'];
/** What a thread that tracks its descriptors says of one that libc has opened and fs.close() closes. */
const ABOUT_DESCRIPTOR = /^File descriptor \d+ .* unmanaged mode$/;

/**
 * Keeps this thread from printing them, unless the caller asks for them: `NODE_OPTIONS=--trace-warnings`. All other
 * warnings stay.
 */
export function keepNodeQuiet(): void {
  const options = [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(' ')];
  if (options.some((option) => /^--(trace|throw|pending)-(warnings|deprecation)$/.test(option))) return;
  const print = process.listeners('warning');
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (ABOUT_NODE.includes(warning.name) || ABOUT_DESCRIPTOR.test(warning.message)) return;
    for (const listener of print) listener.call(process, warning);
  });
}

/**
 * Says in one line and a hint that koffi's part for this machine cannot be loaded, if `error` is that: what prints other
 * errors needs it, too.
 */
export function sayKoffiIsMissing(error: unknown): boolean {
  if ((error as NodeJS.ErrnoException | undefined)?.code !== 'KOFFI_MISSING') return false;
  process.stderr.write(`vnet-bpf: ${(error as Error).message.replace(/; (?=npm|look)/, '\nhint: ')}\n`);
  return true;
}

/** The version of this program. */
export const programVersion = (): string => (require('../../package.json') as { version: string }).version;
