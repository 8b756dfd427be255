// SPDX-License-Identifier: MIT
// Which test files run in the guest, and the script that runs them there.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { Kernel } from './kernels';

export interface TestSet {
  /** Relative to the root of the repository; searched with all below it. */
  readonly directory: string;
  /** Matched against the path below the directory. */
  readonly files: RegExp;
  /**
   * All of them in one process, under this name: loading tap takes seconds in emulation. Sets with one name share it.
   */
  readonly together?: string;
  /** Only on these kernels, if not on all. */
  readonly kernels?: readonly string[];
  /** They need the packed tarballs, installed in the guest. */
  readonly installed?: true;
  /** They need systemd as the first process of the guest. */
  readonly systemd?: true;
  /** Where the interfaces of the tests are to be made, if not on a veth. */
  readonly backEnd?: 'dummy';
}

/** What one process of the guest runs. */
export interface TestUnit {
  /** In the report: the path of the file, or the name of the set. */
  readonly name: string;
  /** Paths relative to the root of the repository. */
  readonly files: readonly string[];
  readonly installed: boolean;
  readonly systemd: boolean;
  readonly backEnd: 'dummy' | undefined;
}

/**
 * Those of libbpf-ts but what is in its directory `host` and what else takes a real compiler or the verifier of a recent
 * kernel, and those that one or two kernels run.
 */
const LIBBPF =
  /^(?!host\/)(.*\/)?kernel[-/](?!attach|border|errors|examples|faults|features|missing|mutants|skeleton|types).*\.test\.ts$/;
const FEATURES = /^kernel-features\.test\.ts$/;
const ATTACH = /^kernel-attach\.test\.ts$/;
const KINDS = /^kernel-attach-kinds\.test\.ts$/;
const EXAMPLES = /^kernel-examples(-network)?\.test\.ts$/;

/** The sets of tests by name. */
export const sets = {
  /**
   * What every kernel has to pass: everything that the loop promises, once through. The rest says more about load and
   * about the machine than about the kernel.
   */
  matrix: [
    { directory: 'test/kernel', files: /^matrix-(doctor|dummy|veth)\.test\.ts$/, together: 'matrix' },
    // Every kernel loads all programs; for what they do besides looping, and for qdiscs, one will do.
    { directory: 'test/kernel', files: /^matrix-record\.test\.ts$/, together: 'matrix', kernels: ['6.18'] },
    { directory: 'test/kernel', files: /^matrix-qdisc\.test\.ts$/, together: 'matrix', kernels: ['newest'] },
    // Through clsact, and through tcx of the newest.
    { directory: 'test/kernel', files: /^matrix-others\.test\.ts$/, together: 'matrix', kernels: ['6.1', 'newest'] },
    // Before Linux 6.6 a veth does not say what its peer has no space for.
    { directory: 'test/kernel', files: /^matrix-impair\.test\.ts$/, together: 'matrix', kernels: ['6.1'] },
    // The kernels that have it.
    {
      directory: 'test/kernel',
      files: /^matrix-big-tcp\.test\.ts$/,
      together: 'matrix',
      kernels: ['6.12', '6.18', 'newest'],
    },
    // Through clsact; the machine's own kernel has tcx.
    { directory: 'test/kernel', files: /^matrix-queues\.test\.ts$/, together: 'matrix', kernels: ['6.1'] },
    // What npm makes of a tarball does not depend on the kernel.
    { directory: 'test/vm/installed', files: /\.test\.ts$/, together: 'matrix', kernels: ['6.12'], installed: true },
    { directory: 'src/libbpf-ts/test', files: FEATURES, together: 'matrix' },
    // The oldest, without tcx and much else; the machine's own kernel has it.
    { directory: 'src/libbpf-ts/test', files: LIBBPF, together: 'matrix', kernels: ['5.10'] },
    { directory: 'src/libbpf-ts/test', files: ATTACH, together: 'matrix', kernels: ['5.10', 'newest'] },
    // With kprobes and trampolines, which the machine's own kernel may lack.
    { directory: 'src/libbpf-ts/test', files: KINDS, together: 'matrix', kernels: ['newest'] },
    { directory: 'src/libbpf-ts/test', files: EXAMPLES, together: 'matrix', kernels: ['newest'] },
  ],
  /** The tests of traffic on the other back end: a host may have no dummy, each kernel of the table does. */
  dummy: [{ directory: 'test/kernel', files: /^(long\/)?(dummy|traffic-.*)\.test\.ts$/, backEnd: 'dummy' }],
  /** The unit of docs/systemd, under the real systemd. */
  systemd: [{ directory: 'test/vm/systemd', files: /\.test\.ts$/, installed: true, systemd: true }],
  /** All tests that need a real kernel. */
  full: [
    { directory: 'test/kernel', files: /\.test\.ts$/ },
    { directory: 'src/libbpf-ts/test', files: FEATURES },
    { directory: 'src/libbpf-ts/test', files: LIBBPF },
    { directory: 'src/libbpf-ts/test', files: ATTACH },
    { directory: 'src/libbpf-ts/test', files: KINDS },
    { directory: 'src/libbpf-ts/test', files: EXAMPLES },
  ],
} as const satisfies Record<string, readonly TestSet[]>;

export type SetName = keyof typeof sets;

/** Those that run on a kernel. */
export function findTests(root: string, wanted: readonly TestSet[], match: RegExp, kernel: string): TestUnit[] {
  const units: TestUnit[] = [];
  for (const { directory, files, together, kernels, installed = false, systemd = false, backEnd } of wanted) {
    if (kernels && !kernels.includes(kernel)) continue;
    let names: string[];
    try {
      names = readdirSync(path.join(root, directory), { recursive: true, encoding: 'utf8' });
    } catch {
      continue; // Not there yet.
    }
    const found = names
      .filter((name) => files.test(name))
      .sort()
      .map((name) => path.join(directory, name))
      .filter((file) => match.test(file));
    if (found.length === 0) continue;
    const on = backEnd === undefined ? '' : ` on a ${backEnd}`;
    const begun = units.findIndex(({ name }) => name === together);
    if (together === undefined)
      units.push(...found.map((file) => ({ name: file + on, files: [file], installed, systemd, backEnd })));
    else if (begun < 0) units.push({ name: together + on, files: found, installed, systemd, backEnd });
    else {
      const unit = units[begun] as TestUnit;
      units[begun] = {
        ...unit,
        files: [...unit.files, ...found],
        installed: unit.installed || installed,
        systemd: unit.systemd || systemd,
      };
    }
  }
  return units;
}

/** What test files and commands find in their environment: README.md explains it to their authors. */
function environment(kernel: Kernel, extra: readonly string[]): string {
  return [
    // Node may be anywhere: version managers and CI services have directories of their own for it.
    `export PATH=${quote(path.dirname(process.execPath))}:"$PATH"`,
    `export VNET_BPF_VM='${kernel.name}'`,
    'export VNET_BPF_ROOT=/work',
    // Emulation is about ten times slower: whoever waits for something multiplies by this.
    'export VNET_BPF_SLOW=10',
    // Counts of packets and bytes: what takes a minute on a machine takes ten here, and says nothing more of the
    // kernel.
    'export VNET_BPF_TEST_SCALE=0.01',
    // tap's own limit of 30 s a file would end what is merely slow; ours is outside of the process.
    'export TAP_TIMEOUT=0',
    'export NODE_OPTIONS=--enable-source-maps',
    ...extra.map((assignment) => `export ${quote(assignment)}`),
    '',
  ].join('\n');
}

/** Runs each unit in a node of its own, between two lines of the protocol. */
export function testScript(
  kernel: Kernel,
  units: readonly TestUnit[],
  fileTimeoutSeconds: number,
  extra: readonly string[],
): string {
  return `#!/usr/bin/bash
${environment(kernel, extra)}
unit() {
  name=$1 VNET_BPF_TEST_TYPE=$2
  export VNET_BPF_TEST_TYPE
  shift 2
  printf '@vm file %s\\n' "$name"
  timeout -s KILL ${fileTimeoutSeconds} node -e 'process.argv.slice(1).forEach((file) => require(file))' -- "$@"
  printf '\\n@vm done %d %s\\n' $? "$name"
}
${units.map(({ name, files, backEnd = 'veth' }) => `unit ${[name, backEnd, ...files.map(compiledPath)].map(quote).join(' ')}\n`).join('')}
exit 0
`;
}

const compiledPath = (file: string): string => `./${file.replace(/\.ts$/, '.js')}`;

/** One argument is a shell line, several are a command and its arguments, as they are. */
export function commandScript(kernel: Kernel, command: readonly string[], extra: readonly string[]): string {
  const line = command.length === 1 ? command[0] : command.map(quote).join(' ');
  return `#!/usr/bin/bash\n${environment(kernel, extra)}\nexec 2>&1\n${line}\n`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
