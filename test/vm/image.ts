// SPDX-License-Identifier: MIT
// Builds the guest's initramfs in parts, which the kernel unpacks one after the other: the base (node,
// tools, libraries, packages) and the work tree, cached until a file in them changes; the modules of a kernel, cached
// until the kernel changes; the installed tarballs, where they are tested; and init with its script, for every boot.
import { createHash } from 'node:crypto';
import { appendFileSync, copyFileSync, existsSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { run } from './command';
import { compileBpf, compileTree, sourcesIn } from './compile';
import { CpioWriter } from './cpio';
import type { FetchedKernel } from './fetch-kernel';
import {
  canonicalPath,
  library,
  mergedLinks,
  neededLibraries,
  neededTools,
  sharedLibraries,
  usefulTools,
  which,
} from './host-files';
import { installedPart } from './installed-part';
import { modules } from './kernels';
import { collectModules } from './modules';
import { packageFiles } from './node-packages';
import { cached, fingerprint } from './parts';
import { cache, repository } from './paths';
import { systemdPart } from './systemd-part';
import { tapBundle, tapStamps } from './tap-bundle';

/** What a boot adds to the image: its script, and files that are only wanted this time. */
export interface Payload {
  /** Run by bash in /work; its exit code ends the run. */
  readonly script: string;
  /** Host files to put into /work, by name there. */
  readonly extra?: ReadonlyMap<string, string>;
  /** Whether the tarballs are installed in the guest. */
  readonly installed?: boolean;
  /** Whether systemd is the guest's first process. */
  readonly systemd?: boolean;
}

/** Writes the whole image for one boot. */
export function buildImage(kernel: FetchedKernel, payload: Payload, file: string): void {
  const own = `${file}.payload`;
  writePayload(payload, own);
  copyFileSync(basePart(), file);
  for (const part of [
    modulesPart(kernel),
    workPart(),
    ...(payload.installed ? [installedPart()] : []),
    ...(payload.systemd ? [systemdPart()] : []),
    own,
  ])
    appendFileSync(file, readFileSync(part));
  rmSync(own);
}

function basePart(): string {
  // Both names of a file: the link is what programs ask for, its content is what they get.
  const tools = [...neededTools, ...usefulTools].flatMap((tool) => {
    const file = which(tool);
    if (file === undefined && (neededTools as readonly string[]).includes(tool)) {
      throw new Error(`${tool} is not installed: test/vm/README.md lists the packages`);
    }
    return file === undefined ? [] : [file];
  });
  const libraries = neededLibraries.map((name) => {
    const file = library(name);
    if (file === undefined) throw new Error(`${name} is not installed: test/vm/README.md lists the packages`);
    return file;
  });
  const packages = packageFiles(repository).map((name) => path.join(repository, name));
  const addons = packages.filter((file) => file.endsWith('.node'));
  const needed = [...tools, ...libraries, ...addons].flatMap(sharedLibraries);
  const system = [...new Set([...tools, ...libraries, ...needed].map(canonicalPath))].sort();

  const key = fingerprint([
    ...system,
    ...packages,
    ...tapStamps(repository),
    __filename,
    require.resolve('./cpio'),
    require.resolve('./tap-bundle'),
  ]);
  return cached('base', key, (file) => {
    const writer = new CpioWriter(file);
    for (const directory of [
      'dev',
      'proc',
      'sys',
      'run',
      'tmp',
      'root',
      'var/tmp',
      'etc',
      'work',
      'usr/bin',
      'usr/sbin',
      'usr/lib',
      'usr/lib64',
    ]) {
      writer.directory(directory);
    }
    for (const [name, target] of mergedLinks()) writer.link(name, target);
    writer.link('var/run', '../run');
    // The kernel opens this before init can mount anything.
    writer.device('dev/console', 5, 1);
    writer.file('etc/passwd', 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n');
    writer.file('etc/group', 'root:x:0:\nnogroup:x:65534:\n');
    writer.file('etc/hosts', '127.0.0.1 localhost\n::1 localhost\n');
    for (const name of system) writer.file(name, readFileSync(name), 0o755);
    // Behind the real tools on the PATH: only what the host did not give comes from busybox.
    const applets = run(which('busybox')!, ['--list']).split('\n').filter(Boolean);
    for (const applet of applets) writer.link(`usr/lib/busybox/${applet}`, canonicalPath(which('busybox')!));
    if (!existsSync('/bin') || !applets.includes('sh')) throw new Error('this busybox has no sh');
    writer.link('usr/bin/sh', 'bash');
    for (const name of packages) writer.file(path.join('work', path.relative(repository, name)), readFileSync(name));
    writer.file('work/node_modules/tap/index.js', tapBundle(repository));
    writer.close();
  });
}

function modulesPart(kernel: FetchedKernel): string {
  const key = createHash('sha256')
    .update([kernel.release, kernel.version, ...modules].join('\n'))
    .digest('hex')
    .slice(0, 16);
  return cached(`modules-${kernel.name}`, key, (file) => {
    const writer = new CpioWriter(file);
    const found = collectModules(kernel.modules, modules, cache('images'));
    for (const { name, content } of found) writer.file(`modules/${name}.ko`, content);
    writer.file('modules/order', found.map(({ name }) => `/modules/${name}.ko\n`).join(''));
    writer.close();
  });
}

/** The repository in /work: kept until a file of it changes. */
function workPart(): string {
  const files = workFiles();
  const programs = ['src/libbpf-ts/test', 'src/libbpf-ts/examples', 'test/bpf'];
  const sources = ['src', 'test', 'bpf'].flatMap((name) => sourcesIn(path.join(repository, name)));
  const key = fingerprint([...files.map((name) => path.join(repository, name)), ...sources]);
  return cached('work', key, (file) => {
    const writer = new CpioWriter(file);
    for (const name of files) writer.file(path.join('work', name), readFileSync(path.join(repository, name)));
    // The harness itself stays on the host; what proves it does not.
    const harness = (name: string) => /^test\/vm\/(?!smoke\/|fixtures\/|installed\/|systemd\/)/.test(name);
    const compiled = [
      ...compileTree(repository, 'src', (name) => name.startsWith('src/libbpf-ts/')),
      ...compileTree(repository, 'src/libbpf-ts'),
      ...compileTree(repository, 'test', harness),
    ];
    for (const { path: name, text } of compiled) writer.file(path.join('work', name), text);
    const objects = programs.flatMap((name) => compileBpf(repository, name));
    for (const { path: name, content } of objects) writer.file(path.join('work', name), content);
    // As npm's workspaces have it.
    writer.link('work/node_modules/libbpf-ts', '../src/libbpf-ts');
    writer.close();
  });
}

/** What this boot runs, and what starts it. */
function writePayload(payload: Payload, file: string): void {
  const writer = new CpioWriter(file);
  const guest = (name: string) => readFileSync(path.join(__dirname, 'guest', name));
  for (const name of ['init', 'run-script']) writer.file(name, guest(name), 0o755);
  writer.file('script', payload.script, 0o755);
  writer.file('crash', guest('crash'), 0o755);
  // Tests that call a compiler themselves get what the host compiled.
  writer.file('usr/local/bin/clang', guest('clang'), 0o755);
  for (const name of ['register', 'register/transpile-only'])
    writer.file(`work/node_modules/ts-node/${name}.js`, guest('ts-node.js'));
  for (const [name, source] of payload.extra ?? []) {
    writer.file(path.join('work', name), readFileSync(source), statSync(source).mode & 0o777);
  }
  writer.close();
}

/** Build output and data, taken as they are. */
function workFiles(): string[] {
  const list = (directory: string, wanted: RegExp): string[] => {
    if (!existsSync(path.join(repository, directory))) return [];
    return readdirSync(path.join(repository, directory), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && wanted.test(entry.name))
      .map((entry) => path.relative(repository, path.join(entry.parentPath, entry.name)))
      .filter((name) => !name.includes('node_modules/') && !name.startsWith('test/vm/'));
  };
  return [
    'package.json',
    'tsconfig.json',
    'src/libbpf-ts/package.json',
    ...list('dist', /\.(c?js|json|o|cache|bash|zsh|fish)$/),
    // Tests hold them against the product.
    ...list('docs', /\.(md|service|conf|network|link)$/),
    ...list('src/libbpf-ts/dist', /\.(c?js|json|o)$/),
    ...list('bpf', /\.o$/),
    // Fixtures, objects of the tests, hook files in plain JavaScript.
    ...list('test', /\.(c?js|json|o|pcap)$/),
    ...list('src/libbpf-ts/test', /\.(c?js|json|o)$/),
  ].filter((name) => existsSync(path.join(repository, name)));
}
