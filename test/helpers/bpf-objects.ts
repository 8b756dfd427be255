// SPDX-License-Identifier: MIT
/**
 * Every BPF program, map and link that the kernel has, by id, whoever made it and whether it is
 * pinned or not. Through libbpf itself: bpftool is not everywhere.
 */
import * as fs from 'node:fs';

// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
// eslint-disable-next-line @typescript-eslint/no-require-imports
const koffi = require('koffi') as Koffi;

type Native = (...args: (number | Uint8Array | Uint32Array)[]) => number;

const libbpf = koffi.load('libbpf.so.1');
const declare = (prototype: string): Native => libbpf.func(prototype) as unknown as Native;
const infoOf = declare('int bpf_obj_get_info_by_fd(int fd, uint8_t *info, uint32_t *length)');

/** Offsets of the name in struct bpf_prog_info and bpf_map_info; a link has none. */
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

/** Programs of control groups: systemd's, which come and go as it likes (BPF_PROG_TYPE_CGROUP_*). */
const CGROUP_PROGRAMS = [8, 9, 15, 18, 23, 25];
/** Enough for the fields that are read; the kernel fills in as much as there is room for. */
const INFO_BYTES = 128;
const NAME_BYTES = 16;

/** One line each, such as `prog 12 tx`. */
export function bpfObjects(): string[] {
  const lines: string[] = [];
  const id = new Uint32Array(1);
  for (const { kind, name, next, open } of KINDS) {
    for (id[0] = 0; next(id[0], id) === 0; ) {
      const fd = open(id[0] as number);
      if (fd < 0) continue; // freed between the two calls
      const info = Buffer.alloc(INFO_BYTES);
      infoOf(fd, info, Uint32Array.of(INFO_BYTES));
      fs.closeSync(fd);
      if (kind === 'prog' && CGROUP_PROGRAMS.includes(info.readUInt32LE(0))) continue;
      const called = name === null ? '' : ` ${info.toString('latin1', name, name + NAME_BYTES).replace(/\0.*$/s, '')}`;
      lines.push(`${kind} ${id[0]}${called}`);
    }
  }
  return lines;
}
