// SPDX-License-Identifier: MIT
// Builds the selftests of the table out of the cached source.
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { run } from '../vm/command';
import { cache } from '../vm/paths';
import { ADDRESSES } from './networks';
import type { Source } from './source';
import type { Program } from './table';

/** Where the programs lie, and where they run. */
export const programs = (): string => cache('selftests', 'programs');

/**
 * Included before everything else where a test talks to the loopback address: it is an address of the interface then.
 */
const ON_THE_INTERFACE = `#include <netinet/in.h>
#undef INADDR_LOOPBACK
#define INADDR_LOOPBACK 0x${ADDRESSES.A4.split('.')
  .map((part) => Number(part).toString(16).padStart(2, '0'))
  .join('')}
static const struct in6_addr address_of_interface __attribute__((unused)) = { .s6_addr = { 0xfd, [15] = 1 } };
#define in6addr_loopback address_of_interface
#undef IN6ADDR_LOOPBACK_INIT
#define IN6ADDR_LOOPBACK_INIT { .s6_addr = { 0xfd, [15] = 1 } }
`;

/** Builds them all, in a few seconds; returns the names of those that do not compile, with the reason. */
export function build(wanted: readonly Program[], source: Source): Map<string, string> {
  const directory = programs();
  const header = path.join(directory, 'on-the-interface.h');
  writeFileSync(header, ON_THE_INTERFACE);
  const failed = new Map<string, string>();
  for (const program of wanted) {
    try {
      buildOne(program, source, directory, header);
    } catch (error) {
      failed.set(program.source, (error as Error).message);
    }
  }
  return failed;
}

function buildOne(
  { source: name, edits = [], libraries = [], onInterface = false }: Program,
  { directory: net }: Source,
  directory: string,
  header: string,
): void {
  const from = path.join(net, name);
  if (!existsSync(from)) throw new Error(`${name} is not in the package`);
  let text = readFileSync(from, 'utf8');
  for (const [search, replacement] of edits) {
    const edited = text.replaceAll(search, replacement);
    if (edited === text) throw new Error(`${name}: nothing matches ${search}`);
    text = edited;
  }
  const base = path.basename(name);
  const copy = path.join(directory, base);
  writeFileSync(copy, text);
  chmodSync(copy, 0o755);
  if (!base.endsWith('.c')) return;
  const includes = ['.', path.dirname(from), net, path.join(net, '..'), path.join(net, '../../../include/uapi')].map(
    (where) => `-I${where}`,
  );
  run('cc', [
    '-O2',
    '-g',
    '-w',
    '-D_GNU_SOURCE',
    ...includes,
    ...(onInterface ? ['-include', header] : []),
    '-o',
    copy.replace(/\.c$/, ''),
    copy,
    '-pthread',
    ...libraries.map((library) => `-l${library}`),
  ]);
}
