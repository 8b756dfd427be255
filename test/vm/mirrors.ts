// SPDX-License-Identifier: MIT
// Finds the Debian mirrors this machine already uses, so that none is written into the project and a machine
// behind its own mirror or proxy keeps using that.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

export interface AptEntry {
  readonly uri: string;
  readonly suite: string;
}

export interface Mirrors {
  readonly main: string;
  readonly security: string;
}

/** The mirror for a suite: security suites live in an archive of their own. */
export function mirrorOf(suite: string, mirrors: Mirrors): string {
  return suite.endsWith('-security') ? mirrors.security : mirrors.main;
}

/** Reads the mirrors from VNET_BPF_DEBIAN_MIRROR and VNET_BPF_DEBIAN_SECURITY_MIRROR, else from apt's sources. */
export function findMirrors(etc = '/etc'): Mirrors {
  const entries = readEntries(path.join(etc, 'apt'));
  const release = readFileSync(path.join(etc, 'os-release'), 'utf8');
  const debian = /^ID="?debian"?$/m.test(release);
  const codename = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(release)?.[1] ?? 'stable';
  const suite = (name: RegExp) => (debian ? entries.find((entry) => name.test(entry.suite))?.uri : undefined);
  const main = process.env['VNET_BPF_DEBIAN_MIRROR'] ?? suite(new RegExp(`^(${codename}|stable)$`));
  const security = process.env['VNET_BPF_DEBIAN_SECURITY_MIRROR'] ?? suite(/-security$/);
  if (!main) throw new Error(`no Debian mirror for ${codename} in ${etc}/apt: set VNET_BPF_DEBIAN_MIRROR`);
  if (!security) throw new Error(`no Debian security mirror in ${etc}/apt: set VNET_BPF_DEBIAN_SECURITY_MIRROR`);
  return { main, security };
}

function readEntries(apt: string): AptEntry[] {
  const files = [path.join(apt, 'sources.list'), ...list(path.join(apt, 'sources.list.d'))];
  return files.flatMap((file) => {
    if (file.endsWith('.sources')) return parseDeb822(read(file));
    if (file.endsWith('.list')) return parseOneLine(read(file));
    return [];
  });
}

/** The older format: `deb [options] URI SUITE COMPONENT…`. */
export function parseOneLine(text: string): AptEntry[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/.exec(line);
    return match ? [{ uri: match[1]!, suite: match[2]! }] : [];
  });
}

/** The newer format: stanzas of `Field: value`, continued on indented lines, lists separated by blanks. */
export function parseDeb822(text: string): AptEntry[] {
  const plain = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n');
  return plain.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string) =>
      (new RegExp(`^${name}:((?:.|\\n[ \\t])*)`, 'mi').exec(stanza)?.[1] ?? '').split(/\s+/).filter(Boolean);
    if (field('Enabled')[0] === 'no' || !field('Types').includes('deb')) return [];
    return field('URIs').flatMap((uri) => field('Suites').map((suite) => ({ uri, suite })));
  });
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory)
      .sort()
      .map((name) => path.join(directory, name));
  } catch {
    return [];
  }
}
