// SPDX-License-Identifier: MIT
// Picks the host's own tools for the guest: each with the shared libraries that it needs, under the same path.
import { accessSync, constants, existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { run } from './command';

/** Without these no test can run. busybox's own env starts busybox's own tools, wherever the real ones are. */
export const neededTools = [
  'node',
  'busybox',
  'bash',
  'env',
  'ip',
  'tc',
  'ping',
  'mount',
  'umount',
  'nsenter',
  'unshare',
] as const;

/** Taken along where the host has them. */
export const usefulTools = [
  'bpftool',
  'ethtool',
  'ss',
  'bridge',
  'iperf3',
  'tcpdump',
  'tcpreplay',
  'strace',
  'ps',
  'nc',
  'arping',
  'sysctl',
  'setpriv',
  'prlimit',
] as const;

/** Loaded with dlopen, so that no executable names them. */
export const neededLibraries = ['libbpf.so.1', 'libc.so.6'] as const;

const searchPath = [...new Set([...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/bin', '/sbin', '/bin'])];

export function which(tool: string): string | undefined {
  for (const directory of searchPath) {
    const candidate = path.join(directory, tool);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // The next directory.
    }
  }
  return undefined;
}

/** The path of a shared library as the loader would find it. */
export function library(name: string): string | undefined {
  const listing = run(which('ldconfig') ?? 'ldconfig', ['-p']);
  return new RegExp(`^\\s*${name.replaceAll('.', '\\.')} \\(.*x86-64.*\\) => (.*)$`, 'm').exec(listing)?.[1];
}

/** The shared libraries of an executable, transitively, the loader included; none for a static one. */
export function sharedLibraries(file: string): string[] {
  let listing: string;
  try {
    listing = run('ldd', [file]);
  } catch (error) {
    if (/not a dynamic executable/.test((error as Error).message)) return [];
    throw error;
  }
  const missing = /^\s*(\S+) => not found/m.exec(listing);
  if (missing) throw new Error(`${file} needs ${missing[1]}, which this machine does not have`);
  return [...listing.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map((match) => match[1]!);
}

/** /lib/x/y and /usr/lib/x/y are one file on a merged-usr system: the name with its directory resolved. */
export function canonicalPath(file: string): string {
  return path.join(realpathSync(path.dirname(file)), path.basename(file));
}

/** Top-level links such as /bin -> usr/bin, as the host has them. */
export function mergedLinks(): [string, string][] {
  return ['bin', 'sbin', 'lib', 'lib64']
    .filter((name) => existsSync(`/${name}`) && realpathSync(`/${name}`) !== `/${name}`)
    .map((name) => [name, realpathSync(`/${name}`).slice(1)]);
}
