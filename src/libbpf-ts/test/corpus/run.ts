// SPDX-License-Identifier: MIT
/**
 * Loads other people's objects with libbpf in C and with this package, and compares: `make test-corpus`, as root.
 *
 * The objects are those of Debian's packages that ship some, and those of the kernel's selftests that the compiler here
 * takes. Everything is fetched into .cache/corpus, or the directory that VNET_BPF_CORPUS names, and stays there; other
 * arguments are directories with objects of one's own.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';

import type { Outcome } from './try';

const CACHE = resolve(process.env['VNET_BPF_CORPUS'] ?? '.cache/corpus');

/** Packages of Debian that contain BPF objects; those that this release lacks are left out. */
const PACKAGES = [
  'libxdp1',
  'xdp-tools',
  'golang-github-cilium-ebpf-dev',
  'suricata',
  'dnsdist',
  'dropwatch',
  'netsniff-ng',
];
const KERNEL_SOURCE = /^linux-source-6\.\d+$/;
const SELFTESTS = 'tools/testing/selftests/bpf';

const sh = (command: string, cwd = CACHE): string =>
  execFileSync('bash', ['-o', 'pipefail', '-c', command], { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });
const say = (text: string): void => console.log(`corpus: ${text}`);

/** Makes a directory once: under another name until it is complete. */
function once(name: string, make: (directory: string) => void): string {
  const done = join(CACHE, name);
  if (existsSync(done)) return done;
  const fresh = `${done}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  make(fresh);
  renameSync(fresh, done);
  return done;
}

const available = (name: string): boolean => /Candidate: \d/.test(sh(`apt-cache policy ${name}`));

function fetchPackages(directory: string): void {
  for (const name of PACKAGES.filter(available)) {
    say(`fetching ${name}`);
    sh(`apt-get download ${name} >/dev/null && dpkg-deb -x ${name}_*.deb ${name} && rm ${name}_*.deb`, directory);
  }
}

function fetchSelftests(directory: string): void {
  const names = sh('apt-cache pkgnames linux-source-6')
    .split('\n')
    .filter((name) => KERNEL_SOURCE.test(name));
  const name = names.find(available);
  if (name === undefined) return say('no package with the source of the kernel');
  say(`fetching ${name}`);
  const parts = [SELFTESTS, 'tools/lib/bpf', 'tools/include'].map((part) => `'*/${part}'`).join(' ');
  sh(`apt-get download ${name} >/dev/null`, directory);
  sh(
    `dpkg-deb --fsys-tarfile ${name}_*.deb | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | ` +
      `tar -xJ --strip-components=1 --wildcards ${parts} && rm ${name}_*.deb`,
    directory,
  );
}

/** Compiles each program that this compiler takes. */
function compileSelftests(source: string, directory: string): void {
  const tests = join(source, SELFTESTS);
  if (!existsSync(tests)) return;
  sh(`bpftool btf dump file /sys/kernel/btf/vmlinux format c >vmlinux.h`, directory);
  const machine = process.arch === 'arm64' ? 'arm64' : 'x86';
  const multiarch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const flags =
    `-target bpf -g -O2 -mcpu=v3 -w -D__TARGET_ARCH_${machine} -I${directory} -I${tests} -I${join(source, 'tools/include/uapi')} ` +
    `-I/usr/include/${multiarch}-linux-gnu`;
  say('compiling the selftests');
  sh(
    `ls ${tests}/progs/*.c | xargs -P2 -I{} sh -c 'timeout 60 clang ${flags} -c {} -o $(basename {} .c).bpf.o 2>/dev/null || true'`,
    directory,
  );
}

const EM_BPF = 247;

/** Every BPF object below a directory. */
function objectsIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(?:o|elf)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const head = readFileSync(path).subarray(0, 20);
      return head.length === 20 && head.readUInt32BE(0) === 0x7f454c46 && head.readUInt16LE(18) === EM_BPF;
    });
}

/** What libbpf in C says of each. */
function withC(paths: readonly string[]): Map<string, string> {
  const program = join(CACHE, 'load');
  execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, join(__dirname, 'load.c'), '-lbpf']);
  const lines = execFileSync(program, paths, { encoding: 'utf8', maxBuffer: 1 << 28 })
    .trim()
    .split('\n');
  return new Map(lines.map((line) => [line.split('\t')[0]!, line.split('\t')[1]!]));
}

/** What this package says; an object that ends the process is `crashed`, and the next process goes on behind it. */
function withPackage(paths: readonly string[]): Map<string, Outcome | 'crashed'> {
  const found = new Map<string, Outcome | 'crashed'>();
  const program = join(__dirname, `try${__filename.slice(-3)}`);
  const typescript = __filename.endsWith('.ts') ? ['-r', 'ts-node/register/transpile-only'] : [];
  for (let rest = [...paths]; rest.length > 0;) {
    const args = [...typescript, program, ...rest];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
    for (const line of stdout.trim().split('\n').filter(Boolean)) {
      const outcome = JSON.parse(line) as Outcome;
      found.set(outcome.path, outcome);
    }
    rest = rest.filter((path) => !found.has(path));
    if (status === 0) break;
    const culprit = stderr
      .trim()
      .split('\n')
      .filter((line) => rest.includes(line))
      .at(-1);
    if (culprit === undefined) throw new Error(stderr);
    found.set(culprit, 'crashed');
    say(`${culprit} ended the process: ${stderr.trim().split('\n').at(-1)}`);
    rest = rest.filter((path) => path !== culprit);
  }
  return found;
}

/** An error that gives only an errno, with no reason behind it. */
const isBare = (message: string): boolean => /: (?:E[A-Z0-9]+|LIBBPF_ERRNO__\w+|errno \d+) \([^)]*\)$/.test(message);

function main(own: readonly string[]): number {
  mkdirSync(CACHE, { recursive: true });
  const directories: string[] = own.length > 0 ? [...own] : [once('packages', fetchPackages)];
  if (own.length === 0) {
    const source = once('source', fetchSelftests);
    directories.push(once('selftests', (directory) => compileSelftests(source, directory)));
  }
  const paths = directories.flatMap((directory) => objectsIn(resolve(directory)));
  say(`${paths.length} objects`);
  const theirs = withC(paths);
  const ours = withPackage(paths);
  const problems: string[] = [];
  const sum = { loaded: 0, verifier: 0, unreadable: 0, others: 0, bare: 0, suggested: 0 };
  const report: string[] = [];
  for (const path of paths) {
    const [their, our] = [theirs.get(path)!, ours.get(path)!];
    const outcome = our === 'crashed' ? our : our.outcome;
    if ((their === 'loaded') !== (outcome === 'loaded')) problems.push(`${path}: ${their} in C, ${outcome} here`);
    if (our === 'crashed') continue;
    if (our.outcome === 'loaded') sum.loaded++;
    else if (our.code === 'BPF_VERIFIER') sum.verifier++;
    else if (our.code === 'BPF_OBJECT') sum.unreadable++;
    else sum.others++;
    if (our.message === undefined) continue;
    report.push(`${basename(path)}: ${our.message}`);
    if (isBare(our.message)) {
      sum.bare++;
      problems.push(`${path}: no reason: ${our.message}`);
    }
    if (our.code === 'BPF_VERIFIER' && our.message.includes('; ')) sum.suggested++;
  }
  writeFileSync(join(CACHE, 'errors.txt'), `${report.join('\n')}\n`);
  for (const problem of problems) console.log(problem);
  say(
    `${sum.loaded} loaded, ${sum.verifier} refused by the verifier (${sum.suggested} with a suggestion), ` +
      `${sum.unreadable} no usable objects, ${sum.others} refused for other reasons, ${sum.bare} with a bare errno; ` +
      `errors are in ${join(CACHE, 'errors.txt')}`,
  );
  say(problems.length === 0 ? 'the same objects load in C' : `${problems.length} problems`);
  return problems.length === 0 ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
