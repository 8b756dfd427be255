// SPDX-License-Identifier: MIT
/**
 * The BPF programs, maps and links of the product that the kernel has, by id, whether they are pinned or not: those
 * with a name that the product gives. Through libbpf itself: bpftool is not everywhere.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { ROOT } from './cli';

// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
// eslint-disable-next-line @typescript-eslint/no-require-imports
const koffi = require('koffi') as Koffi;

type Native = (...args: (number | Uint8Array | Uint32Array)[]) => number;

const libbpf = koffi.load('libbpf.so.1');
const declare = (prototype: string): Native => libbpf.func(prototype) as unknown as Native;
const infoOf = declare('int bpf_obj_get_info_by_fd(int fd, uint8_t *info, uint32_t *length)');

/** Offsets of the name in struct bpf_prog_info and bpf_map_info; a link has none, but a program. */
const KINDS = [
  { kind: 'prog', name: 64 },
  { kind: 'map', name: 24 },
  { kind: 'link', name: null },
].map(({ kind, name }) => ({
  kind,
  name,
  next: declare(`int bpf_${kind}_get_next_id(uint32_t start, uint32_t *next)`),
  open: declare(`int bpf_${kind}_get_fd_by_id(uint32_t id)`),
}));

/** Of the maps that the controller makes itself. */
const MADE_NAMES = ['ring', 'tape', 'fates'];
/** Offset of prog_id in struct bpf_link_info. */
const LINK_PROGRAM = 8;

/** Whether the product's object has something of that name: it is in the object's table of strings. */
function isOurs(name: string): boolean {
  object ??= fs.readFileSync(path.join(ROOT, 'dist/bpf/vnet.bpf.o'), 'latin1');
  return MADE_NAMES.includes(name) || object.includes(`\0${name}\0`);
}
let object: string | undefined;

/** Enough for the fields that are read; the kernel fills in as much as there is room for. */
const INFO_BYTES = 128;
const NAME_BYTES = 16;

/** One line each, such as `prog 12 tx`. */
export function bpfObjects(): string[] {
  const lines: string[] = [];
  const programs = new Set<number>();
  const id = new Uint32Array(1);
  for (const { kind, name, next, open } of KINDS) {
    for (id[0] = 0; next(id[0], id) === 0; ) {
      const fd = open(id[0] as number);
      if (fd < 0) continue; // freed between the two calls
      const info = Buffer.alloc(INFO_BYTES);
      infoOf(fd, info, Uint32Array.of(INFO_BYTES));
      fs.closeSync(fd);
      const called = name === null ? '' : info.toString('latin1', name, name + NAME_BYTES).replace(/\0.*$/s, '');
      if (!(name === null ? programs.has(info.readUInt32LE(LINK_PROGRAM)) : isOurs(called))) continue;
      if (kind === 'prog') programs.add(id[0] as number);
      lines.push(`${kind} ${id[0]} ${called}`.trimEnd());
    }
  }
  return lines;
}
