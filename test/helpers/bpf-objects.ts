// SPDX-License-Identifier: MIT
/**
 * Every BPF program, map and link in the kernel, pinned or not, by id, except those of other users. It uses libbpf
 * itself, because bpftool is not installed everywhere.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { OUTSIDE } from '../report/sandbox';

// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
// eslint-disable-next-line @typescript-eslint/no-require-imports
const koffi = require('koffi') as Koffi;

type Native = (...args: (number | string | Uint8Array | Uint32Array)[]) => number;

const libbpf = koffi.load('libbpf.so.1');
const declare = (prototype: string): Native => libbpf.func(prototype) as unknown as Native;
const infoOf = declare('int bpf_obj_get_info_by_fd(int fd, uint8_t *info, uint32_t *length)');
const openPin = declare('int bpf_obj_get(const char *path)');

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
/** Enough for the fields that are read; the kernel fills in as much as fits. */
const INFO_BYTES = 128;
const NAME_BYTES = 16;
/** nr_map_ids and map_ids in struct bpf_prog_info. */
const MAP_COUNT = 52;
const MAP_IDS = 56;
const MAPS_MAX = 64;

/** One line each, such as `prog 12 tx`. */
export function bpfObjects(): string[] {
  const lines: string[] = [];
  const id = new Uint32Array(1);
  for (const { kind, name, next, open } of KINDS) {
    for (id[0] = 0; next(id[0], id) === 0;) {
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
  if (!fs.existsSync(OUTSIDE)) return lines;
  // In a sandbox, an object belongs to others if a process or a pin outside has it, or a program that uses it.
  const theirs = new Set(outside().flatMap(withMaps));
  return lines.filter((line) => !theirs.has(line.split(' ', 2).join(' ')));
}

/** `prog 12` and the like, for objects of which processes outside have descriptors or see pins. */
function outside(): string[] {
  const ours = read('/proc/self/ns/pid', fs.readlinkSync);
  const processes = entries(`${OUTSIDE}/proc`).filter(
    (pid) => /^\d+$/.test(pid) && read(`${OUTSIDE}/proc/${pid}/ns/pid`, fs.readlinkSync) !== ours,
  );
  // Each mount namespace may have a bpffs of its own: other sandboxes do.
  const viewers = new Map(processes.map((pid) => [read(`${OUTSIDE}/proc/${pid}/ns/mnt`, fs.readlinkSync), pid]));
  const files = processes.flatMap((pid) =>
    entries(`${OUTSIDE}/proc/${pid}/fdinfo`).map((fd) => `${OUTSIDE}/proc/${pid}/fdinfo/${fd}`),
  );
  const pins = [...viewers.values()].flatMap((pid) => pinsBelow(`${OUTSIDE}/proc/${pid}/root/sys/fs/bpf`));
  return [...files.flatMap(idsOf), ...pins.flatMap(idsOfPin)];
}

function idsOfPin(pin: string): string[] {
  const fd = openPin(pin);
  if (fd < 0) return []; // gone meanwhile
  try {
    return idsOf(`/proc/self/fdinfo/${fd}`);
  } finally {
    fs.closeSync(fd);
  }
}

function read(file: string, how: (file: string) => string): string {
  try {
    return how(file);
  } catch {
    return ''; // gone meanwhile
  }
}

function entries(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return []; // gone meanwhile
  }
}

/** Lists the pins of another mount namespace. Directories may vanish while they are walked. */
const pinsBelow = (directory: string): string[] =>
  entries(directory)
    .map((name) => path.join(directory, name))
    .flatMap((file) => (fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() ? pinsBelow(file) : [file]));

/** The kernel's information about a descriptor of a BPF object; a link also names its program. */
const idsOf = (fdinfo: string): string[] =>
  [...read(fdinfo, (file) => fs.readFileSync(file, 'latin1')).matchAll(/^(prog|map|link)_id:\s*(\d+)$/gm)].map(
    ([, kind, id]) => `${kind} ${id}`,
  );

/** A program keeps its maps. */
function withMaps(object: string): string[] {
  const [kind, id] = object.split(' ');
  const fd = kind === 'prog' ? (KINDS[0] as (typeof KINDS)[0]).open(Number(id)) : -1;
  if (fd < 0) return [object];
  // This memory must not be moved by V8, because its address is written into the structure.
  const ids = new Uint32Array(new ArrayBuffer(4 * MAPS_MAX));
  const info = Buffer.alloc(INFO_BYTES);
  info.writeUInt32LE(MAPS_MAX, MAP_COUNT);
  info.writeBigUInt64LE(BigInt(koffi.address(ids)), MAP_IDS);
  const failed = infoOf(fd, info, Uint32Array.of(INFO_BYTES));
  fs.closeSync(fd);
  const count = failed ? 0 : info.readUInt32LE(MAP_COUNT);
  return [object, ...Array.from(ids.subarray(0, count), (map) => `map ${map}`)];
}
