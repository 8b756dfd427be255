// SPDX-License-Identifier: MIT
/** What a test needs of the machine: root, a compiler, a program that runs, a namespace and file systems of its own. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { BpfObject, type FeatureName, kernelIsAtLeast, NotSupportedError, requireFeature } from '../../src/index';

/** For tap: the reason to skip a test of the real kernel, false when it must run. */
export const skipUnlessRoot: string | false = process.getuid?.() === 0 ? false : 'needs root';

/**
 * For tap: the reason to skip a test of a feature. Only the typed error counts, and only on a kernel that is older
 * than the feature.
 */
export function skipUnlessSupported(name: FeatureName): string | false {
  if (skipUnlessRoot) return skipUnlessRoot;
  try {
    requireFeature(name);
    return false;
  } catch (error) {
    if (!(error instanceof NotSupportedError) || kernelIsAtLeast(error.minimumKernel)) throw error;
    return error.message;
  }
}

/** A 4-byte key in native order. */
export function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

/** A packet of `length` bytes that all TC programs accept. */
export function packet(length = 64, first = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = first;
  bytes[12] = 0x08;
  return bytes;
}

const temporary: string[] = [];
process.on('exit', () => temporary.forEach((directory) => rmSync(directory, { recursive: true, force: true })));

/** A temporary directory, which is removed when the process ends. */
function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'libbpf-ts-'));
  temporary.push(directory);
  return directory;
}

/** Compiles NAME.bpf.c, in test/bpf unless said, into a temporary directory. */
export const compile = (name: string, sources = join(__dirname, '..', 'bpf')): string =>
  compileFile(join(sources, `${name}.bpf.c`), join(temporaryDirectory(), `${name}.bpf.o`));

/** Compiles a program that a test has made. */
export function compileText(name: string, text: string): string {
  const source = join(temporaryDirectory(), `${name}.bpf.c`);
  writeFileSync(source, text);
  return compileFile(source, source.replace(/c$/, 'o'));
}

/** Compiles NAME.c in test/bpf, a program of user space. */
export function compileC(name: string): string {
  const program = join(temporaryDirectory(), name);
  execFileSync('clang', ['-O1', '-g', '-o', program, join(__dirname, '..', 'bpf', `${name}.c`)]);
  return program;
}

function compileFile(source: string, object: string): string {
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const target = process.arch === 'arm64' ? 'arm64' : 'x86';
  const flags = [
    '-target',
    'bpf',
    `-D__TARGET_ARCH_${target}`,
    '-g',
    '-O2',
    '-mcpu=v3',
    `-I/usr/include/${machine}-linux-gnu`,
  ];
  execFileSync('clang', [...flags, '-c', source, '-o', object], { stdio: ['ignore', 'inherit', 'inherit'] });
  return object;
}

/** Opens an object and loads only some of its programs: those that this kernel has may be few. */
export function loadOnly(path: string, ...programs: readonly string[]): BpfObject {
  const object = BpfObject.open(path);
  for (const name of object.programNames) object.setAutoload(name, programs.includes(name));
  object.load();
  return object;
}

/** How long an example may be silent, in milliseconds: less than the guest that runs it. */
const PATIENCE = process.env['VNET_BPF_VM'] ? 100_000 : 20_000;

/** A program in TypeScript that a test runs as a user would, in a directory with its BPF object. */
export class Example implements AsyncDisposable {
  output = '';
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  /** @param wrapper a command that runs the rest of its arguments, such as `ip netns exec NAME` */
  constructor(directory: string, program: string, args: readonly string[], wrapper: readonly string[] = []) {
    const typescript = ['-r', require.resolve('ts-node/register/transpile-only'), program];
    const [command, ...rest] = [...wrapper, process.execPath, ...typescript, ...args];
    const env = { ...process.env, NODE_OPTIONS: '', TS_NODE_PROJECT: require.resolve('../../../../tsconfig.json') };
    this.#child = spawn(command!, rest, { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
    this.#ended = once(this.#child, 'close');
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Waits until the output matches; throws with the output when the program ends before. */
  async prints(expected: RegExp): Promise<void> {
    for (const end = Date.now() + PATIENCE; !expected.test(this.output); await sleep(20)) {
      if (!this.running || Date.now() > end) throw new Error(`no ${expected} in the output:\n${this.output}`);
    }
  }

  /** Sends a signal if one is given, waits for the end, and gives the exit code. */
  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal && this.running) this.#child.kill(signal);
    await this.#ended;
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
  }
}

type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
const koffi = require('koffi') as Koffi;
const libc = koffi.load('libc.so.6');
const setns = libc.func('int setns(int fd, int nstype)') as (fd: number, type: number) => number;
const ifNameToIndex = libc.func('unsigned int if_nametoindex(const char *name)') as (name: string) => number;

const CLONE_NEWNET = 0x40000000;

let created = 0;

/**
 * A network namespace for one test, with a veth pair d0 and p0 in it. Its life is that of the test: close() removes it,
 * with its devices.
 */
export class TestNetns implements Disposable {
  readonly name: string;

  constructor(label: string) {
    this.name = `libbpf-ts-${label}-${process.pid}-${++created}`;
    ip('netns', 'add', this.name);
    try {
      this.ip('link', 'add', 'd0', 'type', 'veth', 'peer', 'name', 'p0');
      this.ip('link', 'set', 'd0', 'up');
      this.ip('link', 'set', 'p0', 'up');
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** `ip -n NAME ...` */
  ip(...args: string[]): string {
    return ip('-n', this.name, ...args);
  }

  /** `tc -n NAME ...` */
  tc(...args: string[]): string {
    return execFileSync('tc', ['-n', this.name, ...args], { encoding: 'utf8' });
  }

  /** Runs `action` with the calling thread in the namespace; it must be synchronous. */
  inside<T>(action: () => T): T {
    const home = openSync('/proc/thread-self/ns/net', 'r');
    const there = openSync(`/run/netns/${this.name}`, 'r');
    try {
      if (setns(there, CLONE_NEWNET) !== 0) throw new Error('setns into the test namespace failed');
      try {
        return action();
      } finally {
        if (setns(home, CLONE_NEWNET) !== 0) process.abort();
      }
    } finally {
      closeSync(there);
      closeSync(home);
    }
  }

  /** Index of a device in the namespace. */
  ifindex(device: string): number {
    return this.inside(() => ifNameToIndex(device));
  }

  [Symbol.dispose](): void {
    ip('netns', 'del', this.name);
  }
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8' });
}

/** A BPF file system of the test's own, in a temporary directory. */
export class TestBpffs implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'libbpf-ts-bpffs-'));

  constructor() {
    execFileSync('mount', ['-t', 'bpf', 'bpf', this.path]);
  }

  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    execFileSync('umount', [this.path]);
    rmdirSync(this.path);
  }
}

/** A cgroup of version 2 of the test's own, through a mount of its own. */
export class TestCgroup implements Disposable {
  readonly #mount = mkdtempSync(join(tmpdir(), 'libbpf-ts-cgroup-'));
  readonly path = join(this.#mount, `libbpf-ts-${process.pid}`);

  constructor() {
    try {
      execFileSync('mount', ['-t', 'cgroup2', 'none', this.#mount]);
    } catch (error) {
      rmdirSync(this.#mount);
      throw error;
    }
    mkdirSync(this.path);
  }

  /** Runs a shell command in the cgroup; it is gone afterwards. */
  run(command: string): void {
    execFileSync('sh', ['-c', `echo $$ >'${this.path}/cgroup.procs' && ${command}`], { stdio: 'ignore' });
  }

  [Symbol.dispose](): void {
    rmdirSync(this.path);
    execFileSync('umount', [this.#mount]);
    rmdirSync(this.#mount);
  }
}

const PLACE = '/sys/kernel/tracing';

/** tracefs where libbpf looks for it: mounted, and taken away again, unless the machine has it. */
export class TestTracefs implements Disposable {
  readonly #mounted = !existsSync(`${PLACE}/events`);

  constructor() {
    if (this.#mounted) execFileSync('mount', ['-t', 'tracefs', 'tracefs', PLACE]);
  }

  [Symbol.dispose](): void {
    if (this.#mounted) execFileSync('umount', [PLACE]);
  }
}

/** The file system of the security modules, mounted for a test. */
export class TestSecurityfs implements Disposable {
  readonly #path = mkdtempSync(join(tmpdir(), 'libbpf-ts-security-'));
  /** Names of the modules that the kernel asks; none if it has no such file system. */
  readonly modules: readonly string[];
  readonly #mounted: boolean;

  constructor() {
    const { status } = spawnSync('mount', ['-t', 'securityfs', 'securityfs', this.#path], { stdio: 'ignore' });
    this.#mounted = status === 0;
    const list = join(this.#path, 'lsm');
    this.modules = this.#mounted && existsSync(list) ? readFileSync(list, 'utf8').trim().split(',') : [];
  }

  [Symbol.dispose](): void {
    if (this.#mounted) execFileSync('umount', [this.#path]);
    rmdirSync(this.#path);
  }
}
