// SPDX-License-Identifier: MIT
/** Which test files make up a group, and how it is run. */
import { readdirSync } from 'node:fs';
import { release } from 'node:os';
import * as path from 'node:path';

import type { Isolation } from './sandbox';

/** Tests of the real kernel: files in a directory `kernel`, or named kernel-*. */
const KERNEL = /(^|\/)kernel(\/|-)/;
/** They measure time: processor time, or how soon something happens. */
const ALONE = /(^|\/)kernel\/alone\//;
/** What takes long: load, abuse and crashes again and again, installing, terminals, examples. */
const LONG = /(^|\/)kernel\/long\/|^src\/libbpf-ts\/test\/(host\/|kernel-examples)/;
/** What make has compiled: TEST_SOURCES in the Makefile; not what looks for files of the tree beside its own. */
const COMPILED = /^test\/(unit|kernel|report|bench\/report)\/|^src\/libbpf-ts\/test\/(unit-|kernel-(?!examples))/;
/** Of test/vm only what needs no guest; of test/bench and test/selftests only what runs nothing. */
const ROOTS = [
  'test/unit',
  'test/kernel',
  'test/report',
  'test/bench/report',
  'test/vm/self',
  'test/selftests/self',
  'src/libbpf-ts/test',
];
const IN_A_GUEST = /^test\/vm\/.*guest/;

/**
 * libbpf-ts leaves nothing on a machine that others could see, and makes requests that the kernel answers only in the
 * first pid namespace. But it mounts what the machine has not mounted, such as tracefs.
 */
const isolation = (file: string): Isolation => (file.startsWith('test/kernel/') ? 'machine' : 'mounts');

export interface Group {
  owns(file: string): boolean;
  /** What a file has of its own. */
  isolation(file: string): Isolation;
  /** Test files that run at the same time. */
  jobs: number;
  /** Why the group cannot run on this machine at all, or null. */
  obstacle(): string | null;
  /** Seconds after which a file is ended. */
  timeout: number;
}

export const groups = {
  unit: { owns: (file) => !KERNEL.test(file), isolation: () => null, obstacle: () => null, jobs: 2, timeout: 60 },
  // More than there are processors: most of the time of each is spent waiting for the kernel.
  kernel: {
    owns: (file) => KERNEL.test(file) && !ALONE.test(file) && !LONG.test(file),
    isolation,
    obstacle: oldKernel,
    jobs: 4,
    timeout: 300,
  },
  'kernel-long': { owns: (file) => LONG.test(file), isolation, obstacle: oldKernel, jobs: 4, timeout: 300 },
  'kernel-alone': { owns: (file) => ALONE.test(file), isolation, obstacle: oldKernel, jobs: 1, timeout: 300 },
} satisfies Record<string, Group>;

/** Want of root is not an obstacle: the tests themselves say then that they skip. */
function oldKernel(): string | null {
  const [major = 0, minor = 0] = release()
    .split('.', 2)
    .map((part) => parseInt(part, 10));
  return major > 6 || (major === 6 && minor >= 1) ? null : `Linux 6.1 or later is needed, this is ${release()}`;
}

export type GroupName = keyof typeof groups;

export const isGroupName = (name: string): name is GroupName => Object.hasOwn(groups, name);

function testFiles(directory: string): string[] {
  let entries;
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch {
    return []; // none of that kind
  }
  return entries.flatMap((entry) => {
    const file = path.join(directory, entry.name);
    if (entry.isDirectory()) return testFiles(file);
    return entry.name.endsWith('.test.ts') ? [file] : [];
  });
}

/** Those that take longest, half a minute and more: one that came last would run by itself. */
const FIRST = [
  'deb',
  'library-tarball',
  'hook-dies',
  'state-damaged',
  'inherited',
  'no-space',
  'faults',
  'explore',
  'explore-interrupted',
  'docs-faults-tutorial',
  'fault-examples',
  'record',
  'detach-blocked',
  'output-lost',
  'coexistence',
  'terminal',
  'taken-away',
  'link-changes',
  'model-room',
];

/** They measure when frames come back, which is said to the millisecond, beside others that use all processors. */
const TIMED = [
  'carrier',
  'fault-engines',
  'fault-lines',
  'fault-rules',
  'hook-delay',
  'matrix-impair',
  'testing-faults',
  'undeliverable',
];

/** Whether a file gets the processor before others. */
export const isTimed = (file: string): boolean => TIMED.includes(path.basename(file, '.test.ts'));

/** The files of a group, in the order in which they run. */
export function filesOf(name: GroupName): string[] {
  const isFirst = (file: string): boolean => FIRST.includes(path.basename(file, '.test.ts'));
  const files = ROOTS.flatMap(testFiles)
    .filter((file) => groups[name].owns(file) && !IN_A_GUEST.test(file))
    .sort()
    .reverse();
  return [...files.filter(isFirst), ...files.filter((file) => !isFirst(file))];
}

/** What is run for a test file: its JavaScript where make compiles it, else the source, through ts-node. */
export const programOf = (file: string): string =>
  COMPILED.test(file) ? path.join('dist-test', file.replace(/\.ts$/, '.js')) : file;

/** The test file that a program was made of; what follows the program's name is kept. */
export const sourceOf = (program: string): string => program.replace(/^dist-test\/(\S*)\.js\b/, '$1.ts');
