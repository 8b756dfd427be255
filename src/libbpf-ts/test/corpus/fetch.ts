// SPDX-License-Identifier: MIT
/** The objects of the corpus, made in a directory once: from packages of Debian, and from the source of the kernel. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';

import { objectsInside } from './embedded';

/** Packages of Debian that contain BPF objects, as files or in their programs; those that this release lacks are left out. */
const PACKAGES = [
  'bpftool',
  'golang-github-cilium-ebpf-dev',
  'ir-keytable',
  'libbpf-tools',
  'libknot13',
  'libxdp1',
  'qemu-system-common',
  'systemd',
  'xdp-tests',
  'xdp-tools',
];
const KERNEL_SOURCE = /^linux-source-6\.\d+$/;
/** The folders of the kernel with programs in C, below which their headers are. */
const SOURCES = [
  { name: 'selftests', folder: 'tools/testing/selftests/bpf', programs: 'progs/*.c' },
  { name: 'samples', folder: 'samples/bpf', programs: '*.bpf.c' },
  { name: 'bpftool', folder: 'tools/bpf/bpftool', programs: 'skeleton/*.bpf.c' },
  { name: 'perf', folder: 'tools/perf/util', programs: 'bpf_skel/*.bpf.c' },
  { name: 'runqslower', folder: 'tools/bpf/runqslower', programs: '*.bpf.c' },
  { name: 'preload', folder: 'kernel/bpf/preload/iterators', programs: 'iterators.bpf.c' },
] as const;
/** Programs that the kernel's makefiles link to one object, by its name. */
const LINKED: Readonly<Record<string, readonly string[]>> = {
  'selftests-linked_funcs': ['selftests-linked_funcs1', 'selftests-linked_funcs2'],
  'selftests-linked_maps': ['selftests-linked_maps1', 'selftests-linked_maps2'],
  'selftests-linked_vars': ['selftests-linked_vars1', 'selftests-linked_vars2'],
  'selftests-static_linked': ['selftests-test_static_linked1', 'selftests-test_static_linked2'],
  'selftests-subskeleton': [
    'selftests-test_subskeleton_lib2',
    'selftests-test_subskeleton_lib',
    'selftests-test_subskeleton',
  ],
  'selftests-usdt': ['selftests-test_usdt', 'selftests-test_usdt_multispec'],
  'samples-redirect': ['samples-xdp_redirect', 'samples-xdp_sample'],
  'samples-redirect_cpu': ['samples-xdp_redirect_cpu', 'samples-xdp_sample'],
  'samples-redirect_map': ['samples-xdp_redirect_map', 'samples-xdp_sample'],
  'samples-redirect_map_multi': ['samples-xdp_redirect_map_multi', 'samples-xdp_sample'],
  'samples-router_ipv4': ['samples-xdp_router_ipv4', 'samples-xdp_sample'],
};
const HEADERS = ['tools/include', 'tools/lib/bpf'];

const say = (text: string): void => console.log(`corpus: ${text}`);

const sh = (command: string, cwd: string): string =>
  execFileSync('bash', ['-o', 'pipefail', '-c', command], { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });

/** Makes a directory: under another name until it is complete. */
function once(directory: string, make: (fresh: string) => void): string {
  if (existsSync(directory)) return directory;
  const fresh = `${directory}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  make(fresh);
  renameSync(fresh, directory);
  return directory;
}

const available = (name: string): boolean => /Candidate: \d/.test(sh(`apt-cache policy ${name}`, '/'));

function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Keeps the objects of a package; those that it has twice, once. */
function keepObjects(unpacked: string, directory: string): void {
  const seen = new Set<string>();
  for (const path of filesIn(unpacked)) {
    objectsInside(readFileSync(path)).forEach((object, index) => {
      const digest = createHash('sha256').update(object).digest('hex');
      if (seen.has(digest)) return;
      seen.add(digest);
      const name = relative(unpacked, path).replaceAll('/', '_');
      const number = index === 0 ? '' : `.${index}`;
      writeFileSync(join(directory, /\.(?:o|elf)$/.test(name) ? name : `${name}${number}.bpf.o`), object);
    });
  }
  say(`${seen.size} objects`);
}

function fetchPackage(name: string, directory: string): void {
  if (!available(name)) return say(`no package ${name}`);
  say(`fetching ${name}`);
  const unpacked = join(directory, 'unpacked');
  sh(`apt-get download ${name} 2>&1 && dpkg-deb -x ${name}_*.deb unpacked && rm ${name}_*.deb`, directory);
  keepObjects(unpacked, directory);
  rmSync(unpacked, { recursive: true });
}

function fetchSource(directory: string): void {
  const name = sh('apt-cache pkgnames linux-source-6', '/')
    .split('\n')
    .filter((each) => KERNEL_SOURCE.test(each))
    .find(available);
  if (name === undefined) return say('no package with the source of the kernel');
  say(`fetching ${name}`);
  const parts = [...SOURCES.map(({ folder }) => folder), ...HEADERS].map((folder) => `'*/${folder}/*'`).join(' ');
  sh(`apt-get download ${name} 2>&1`, directory);
  sh(
    `dpkg-deb --fsys-tarfile ${name}_*.deb | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | ` +
      `xz -dc | tar -x --strip-components=1 --wildcards ${parts} && rm ${name}_*.deb`,
    directory,
  );
}

/** Compiles each program that this compiler takes; the others are named in refused.txt, with the reason. */
function compileSource(source: string, directory: string): void {
  sh('bpftool btf dump file /sys/kernel/btf/vmlinux format c >vmlinux.h', directory);
  const machine = process.arch === 'arm64' ? 'arm64' : 'x86';
  const multiarch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  for (const { name, folder, programs } of SOURCES) {
    const from = join(source, folder);
    if (!existsSync(from)) continue;
    say(`compiling ${name}`);
    const headers = [directory, from, join(source, 'tools/include/uapi'), `/usr/include/${multiarch}-linux-gnu`];
    const flags = `-target bpf -g -O2 -mcpu=v3 -w -D__TARGET_ARCH_${machine} ${headers.map((each) => `-I${each}`).join(' ')}`;
    const compile =
      'out=$1-$(basename "$2" .c | sed "s/[.]bpf$//").bpf.o; ' +
      `timeout 60 clang ${flags} -c "$2" -o "$out" 2>"$out.log" && rm "$out.log" || rm -f "$out"`;
    sh(
      `ls ${from}/${programs} | xargs -P${cpus().length} -I{} bash -c '${compile}' compile ${name} {}; ` +
        `{ grep -hsm1 error: ${name}-*.log || true; } >>refused.txt; rm -f ${name}-*.log`,
      directory,
    );
  }
  for (const [name, parts] of Object.entries(LINKED)) {
    const files = parts.map((part) => `${part}.bpf.o`);
    if (!files.every((file) => existsSync(join(directory, file)))) continue;
    sh(`bpftool gen object ${name}.bpf.o ${files.join(' ')} 2>>refused.txt || rm -f ${name}.bpf.o`, directory);
  }
  say(`${objectsIn(directory).length} objects`);
}

/** Every BPF object below a directory. */
export function objectsIn(directory: string): string[] {
  return filesIn(directory)
    .filter((path) => /\.(?:o|elf)$/.test(path))
    .filter((path) => objectsInside(readFileSync(path)).length > 0)
    .sort();
}

/** Fetches and compiles what is not there yet. @returns the directories with objects */
export function fetchCorpus(cache: string): string[] {
  const packages = PACKAGES.map((name) =>
    once(join(cache, 'packages', name), (directory) => fetchPackage(name, directory)),
  );
  const source = once(join(cache, 'source'), fetchSource);
  return [...packages, once(join(cache, 'kernel'), (directory) => compileSource(source, directory))];
}

/** A name for an object that is an identifier of a module: that of its folder and its own. */
export const nameOf = (path: string): string =>
  `${basename(dirname(path))}_${basename(path).replace(/(?:\.bpf)?\.(?:o|elf)$/, '')}`.replace(/\W/g, '_');
