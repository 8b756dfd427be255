// SPDX-License-Identifier: MIT
/** Everything of BPF that is in the kernel now, by number (Linux 4.13; types 4.18, links 5.8). Needs CAP_SYS_ADMIN. */
import { oneOf, uint32 } from './border';
import { check, Errno, systemError } from './errors';
import { OwnedFd } from './fd';
import { libbpf } from './native/libbpf';

interface Kind {
  next(id: number, next: Uint32Array): number;
  open(id: number): number;
}

const KINDS = {
  program: {
    next: (id, next) => libbpf.bpf_prog_get_next_id(id, next),
    open: (id) => libbpf.bpf_prog_get_fd_by_id(id),
  },
  map: { next: (id, next) => libbpf.bpf_map_get_next_id(id, next), open: (id) => libbpf.bpf_map_get_fd_by_id(id) },
  btf: { next: (id, next) => libbpf.bpf_btf_get_next_id(id, next), open: (id) => libbpf.bpf_btf_get_fd_by_id(id) },
  link: { next: (id, next) => libbpf.bpf_link_get_next_id(id, next), open: (id) => libbpf.bpf_link_get_fd_by_id(id) },
} satisfies Record<string, Kind>;

/** What has a number in the kernel. */
export type Numbered = keyof typeof KINDS;

/** The numbers of all programs, maps, links or types, in rising order; what ends meanwhile may be missing. */
export function* listIds(kind: Numbered): Generator<number> {
  const { next } = KINDS[oneOf('list', 'kind', kind, Object.keys(KINDS) as Numbered[])];
  const id = new Uint32Array(1);
  for (;;) {
    const error = -next(id[0]!, id);
    if (error === Errno.ENOENT) return;
    if (error !== 0) throw systemError(`list of ${kind}s`, error, ['CAP_SYS_ADMIN']);
    yield id[0]!;
  }
}

/** Opens what has this number. Throws BpfError: ENOENT if nothing has. */
export function openFdById(kind: Numbered, id: number): OwnedFd {
  const fd = KINDS[kind].open(uint32(`open ${kind}`, 'id', id, 1));
  check(fd, `open ${kind} ${id}`, ['CAP_SYS_ADMIN']);
  return new OwnedFd(fd, `${kind} ${id}`);
}
