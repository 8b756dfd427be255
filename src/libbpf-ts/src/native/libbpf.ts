// SPDX-License-Identifier: MIT
import { type Address, bindLazily, koffi, type LibraryHandle } from './ffi';
import { collect, type Collected, printFunction } from './messages';

type Bytes = NodeJS.TypedArray | null;

/**
 * The libbpf functions that this package calls (libbpf 1.0 and later).
 *
 * Functions that return `number` return a negative errno on failure; functions that return an {@link Address} return 0
 * and set errno (libbpf 1.0 error conventions, `tools/lib/bpf/libbpf_legacy.h`).
 */
export interface Libbpf {
  // objects
  bpf_object__open_mem(image: Bytes, size: number, options: Bytes): Address;
  bpf_object__load(object: Address): number;
  bpf_object__close(object: Address): void;
  bpf_object__btf(object: Address): Address;
  bpf_object__next_program(object: Address, previous: Address): Address;
  bpf_object__next_map(object: Address, previous: Address): Address;
  btf__raw_data(btf: Address, size: Bytes): Address;
  // programs of an object
  bpf_program__name(program: Address): string;
  bpf_program__fd(program: Address): number;
  bpf_program__autoload(program: Address): boolean;
  bpf_program__set_autoload(program: Address, on: boolean): number;
  bpf_program__type(program: Address): number;
  bpf_program__expected_attach_type(program: Address): number;
  bpf_program__set_type(program: Address, type: number): number;
  bpf_program__set_expected_attach_type(program: Address, type: number): number;
  bpf_program__set_attach_target(program: Address, targetFd: number, functionName: string): number;
  bpf_program__set_log_buf(program: Address, buffer: Address, size: number): number;
  // maps of an object
  bpf_map__name(map: Address): string;
  bpf_map__fd(map: Address): number;
  bpf_map__type(map: Address): number;
  bpf_map__value_size(map: Address): number;
  bpf_map__max_entries(map: Address): number;
  bpf_map__inner_map(map: Address): Address;
  bpf_map__set_max_entries(map: Address, entries: number): number;
  bpf_map__set_type(map: Address, type: number): number;
  bpf_map__set_key_size(map: Address, size: number): number;
  bpf_map__set_value_size(map: Address, size: number): number;
  bpf_map__set_map_flags(map: Address, flags: number): number;
  bpf_map__reuse_fd(map: Address, fd: number): number;
  bpf_map__initial_value(map: Address, size: Bytes): Address;
  // bpf(2)
  bpf_map_create(
    type: number,
    name: string | null,
    keySize: number,
    valueSize: number,
    maxEntries: number,
    options: Bytes,
  ): number;
  bpf_map_lookup_elem(fd: number, key: Bytes, value: Bytes): number;
  bpf_map_update_elem(fd: number, key: Bytes, value: Bytes, flags: number): number;
  bpf_map_delete_elem(fd: number, key: Bytes): number;
  bpf_map_get_next_key(fd: number, key: Bytes, next: Bytes): number;
  bpf_map_lookup_batch(
    fd: number,
    inBatch: Bytes,
    outBatch: Bytes,
    keys: Bytes,
    values: Bytes,
    count: Bytes,
    options: Bytes,
  ): number;
  bpf_map_update_batch(fd: number, keys: Bytes, values: Bytes, count: Bytes, options: Bytes): number;
  bpf_map_delete_batch(fd: number, keys: Bytes, count: Bytes, options: Bytes): number;
  bpf_map_lookup_and_delete_elem(fd: number, key: Bytes, value: Bytes): number;
  bpf_map_freeze(fd: number): number;
  bpf_prog_get_next_id(id: number, next: Bytes): number;
  bpf_map_get_next_id(id: number, next: Bytes): number;
  bpf_btf_get_next_id(id: number, next: Bytes): number;
  bpf_link_get_next_id(id: number, next: Bytes): number;
  bpf_prog_get_fd_by_id(id: number): number;
  bpf_map_get_fd_by_id(id: number): number;
  bpf_btf_get_fd_by_id(id: number): number;
  bpf_link_get_fd_by_id(id: number): number;
  bpf_obj_pin(fd: number, path: string): number;
  bpf_obj_get(path: string): number;
  bpf_obj_get_info_by_fd(fd: number, info: Bytes, length: Bytes): number;
  bpf_prog_test_run_opts(fd: number, options: Bytes): number;
  bpf_prog_query(target: number, type: number, flags: number, attachFlags: Bytes, ids: Bytes, count: Bytes): number;
  bpf_link_detach(fd: number): number;
  // attachments of an object's programs
  bpf_program__attach(program: Address): Address;
  bpf_program__attach(program: Address): Address;
  bpf_program__attach_trace(program: Address): Address;
  bpf_program__attach_trace_opts(program: Address, options: Bytes): Address;
  bpf_program__attach_lsm(program: Address): Address;
  bpf_program__attach_freplace(program: Address, targetFd: number, functionName: string): Address;
  bpf_program__attach_iter(program: Address, options: Bytes): Address;
  bpf_program__attach_tracepoint_opts(program: Address, category: string, name: string, options: Bytes): Address;
  bpf_program__attach_raw_tracepoint(program: Address, name: string): Address;
  bpf_program__attach_perf_event_opts(program: Address, fd: number, options: Bytes): Address;
  bpf_program__attach_kprobe_opts(program: Address, functionName: string | null, options: Bytes): Address;
  bpf_program__attach_kprobe_multi_opts(program: Address, pattern: string | null, options: Bytes): Address;
  bpf_program__attach_ksyscall(program: Address, name: string, options: Bytes): Address;
  bpf_program__attach_uprobe_opts(program: Address, pid: number, path: string, offset: number, options: Bytes): Address;
  bpf_program__attach_uprobe_multi(
    program: Address,
    pid: number,
    path: string,
    pattern: string | null,
    options: Bytes,
  ): Address;
  bpf_program__attach_usdt(
    program: Address,
    pid: number,
    path: string,
    provider: string,
    name: string,
    options: Bytes,
  ): Address;
  bpf_program__attach_cgroup(program: Address, cgroupFd: number): Address;
  bpf_program__attach_netns(program: Address, netnsFd: number): Address;
  bpf_map__attach_struct_ops(map: Address): Address;
  bpf_link_update(fd: number, programFd: number, options: Bytes): number;
  bpf_iter_create(linkFd: number): number;
  bpf_link__fd(link: Address): number;
  bpf_link__disconnect(link: Address): void;
  bpf_link__destroy(link: Address): number;
  // tc
  bpf_tc_hook_create(hook: Bytes): number;
  bpf_tc_hook_destroy(hook: Bytes): number;
  bpf_tc_attach(hook: Bytes, options: Bytes): number;
  bpf_tc_detach(hook: Bytes, options: Bytes): number;
  bpf_tc_query(hook: Bytes, options: Bytes): number;
  // user ring buffers
  user_ring_buffer__new(fd: number, options: Bytes): Address;
  user_ring_buffer__reserve(ring: Address, size: number): Address;
  user_ring_buffer__submit(ring: Address, sample: Address): void;
  user_ring_buffer__free(ring: Address): void;
  // probes
  libbpf_bpf_map_type_str(type: number): string | null;
  libbpf_bpf_prog_type_str(type: number): string | null;
  libbpf_probe_bpf_map_type(type: number, options: Bytes): number;
  libbpf_probe_bpf_prog_type(type: number, options: Bytes): number;
  libbpf_probe_bpf_helper(programType: number, helper: number, options: Bytes): number;
  libbpf_version_string(): string;
}

/** Reports that libbpf itself cannot be loaded. */
export class LibraryError extends Error {
  override readonly name = 'LibraryError';
  readonly code = 'LIBBPF_MISSING';
  /** The argument of dlopen(3). */
  readonly library: string;

  constructor(library: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(
      `cannot load ${library} (libbpf 1.0 or later): ${why}; on Debian and Ubuntu install the package libbpf1, ` +
        'or set LIBBPF_TS_LIBRARY to its path',
      { cause },
    );
    this.library = library;
  }
}

/** Functions that libbpf 1.0 does not have yet, with the release that brought them (src/libbpf.map). */
const SINCE: Readonly<Record<string, string>> = {
  bpf_program__attach_uprobe_multi: '1.3',
  user_ring_buffer__new: '1.1',
};

/** Reports that the installed libbpf has no such function yet. */
export class OldLibraryError extends Error {
  override readonly name = 'OldLibraryError';
  readonly code = 'LIBBPF_TOO_OLD';
  /** The release that has it, such as `1.3`. */
  readonly minimumLibbpf: string;

  constructor(name: string, cause: unknown) {
    const version = SINCE[name] ?? 'of a later release';
    super(
      `libbpf ${libbpf.libbpf_version_string().replace(/^v/, '')} has no ${name}(); it needs libbpf ${version}: ` +
        'install a newer one, or set LIBBPF_TS_LIBRARY to its path',
      { cause },
    );
    this.minimumLibbpf = version;
  }
}

const tooOld = (name: string, cause: unknown): Error =>
  name === 'libbpf_version_string' ? (cause as Error) : new OldLibraryError(name, cause);

let handle: LibraryHandle | undefined;

function open(): LibraryHandle {
  if (handle) return handle;
  const path = process.env['LIBBPF_TS_LIBRARY'] || 'libbpf.so.1';
  let library: LibraryHandle;
  try {
    library = koffi.load(path);
    // No native code calls back into JavaScript, and libbpf writes nothing to stderr, even without a print function.
    const setPrint = library.func('uintptr_t libbpf_set_print(uintptr_t fn)') as (fn: Address) => Address;
    setPrint(printFunction());
  } catch (cause) {
    throw new LibraryError(path, cause);
  }
  return (handle = library);
}

/** Calls functions of libbpf and collects what they print. Throws LibraryError without libbpf. */
export function calling<Result>(call: (library: Libbpf) => Result): Collected<Result> {
  open();
  return collect(() => call(libbpf));
}

export const libbpf: Libbpf = bindLazily<Libbpf>(
  open,
  {
    bpf_object__open_mem: 'uintptr_t bpf_object__open_mem(const void *image, size_t size, const void *opts)',
    bpf_object__load: 'int bpf_object__load(uintptr_t object)',
    bpf_object__close: 'void bpf_object__close(uintptr_t object)',
    bpf_object__btf: 'uintptr_t bpf_object__btf(uintptr_t object)',
    bpf_object__next_program: 'uintptr_t bpf_object__next_program(uintptr_t object, uintptr_t previous)',
    bpf_object__next_map: 'uintptr_t bpf_object__next_map(uintptr_t object, uintptr_t previous)',
    btf__raw_data: 'uintptr_t btf__raw_data(uintptr_t btf, void *size)',
    bpf_program__name: 'const char *bpf_program__name(uintptr_t program)',
    bpf_program__fd: 'int bpf_program__fd(uintptr_t program)',
    bpf_program__autoload: 'bool bpf_program__autoload(uintptr_t program)',
    bpf_program__set_autoload: 'int bpf_program__set_autoload(uintptr_t program, bool on)',
    bpf_program__type: 'int bpf_program__type(uintptr_t program)',
    bpf_program__expected_attach_type: 'int bpf_program__expected_attach_type(uintptr_t program)',
    bpf_program__set_type: 'int bpf_program__set_type(uintptr_t program, int type)',
    bpf_program__set_expected_attach_type: 'int bpf_program__set_expected_attach_type(uintptr_t program, int type)',
    bpf_program__set_attach_target:
      'int bpf_program__set_attach_target(uintptr_t program, int target, const char *function)',
    bpf_program__set_log_buf: 'int bpf_program__set_log_buf(uintptr_t program, uintptr_t buffer, size_t size)',
    bpf_map__name: 'const char *bpf_map__name(uintptr_t map)',
    bpf_map__fd: 'int bpf_map__fd(uintptr_t map)',
    bpf_map__type: 'int bpf_map__type(uintptr_t map)',
    bpf_map__value_size: 'uint32_t bpf_map__value_size(uintptr_t map)',
    bpf_map__max_entries: 'uint32_t bpf_map__max_entries(uintptr_t map)',
    bpf_map__inner_map: 'uintptr_t bpf_map__inner_map(uintptr_t map)',
    bpf_map__set_max_entries: 'int bpf_map__set_max_entries(uintptr_t map, uint32_t entries)',
    bpf_map__set_type: 'int bpf_map__set_type(uintptr_t map, int type)',
    bpf_map__set_key_size: 'int bpf_map__set_key_size(uintptr_t map, uint32_t size)',
    bpf_map__set_value_size: 'int bpf_map__set_value_size(uintptr_t map, uint32_t size)',
    bpf_map__set_map_flags: 'int bpf_map__set_map_flags(uintptr_t map, uint32_t flags)',
    bpf_map__reuse_fd: 'int bpf_map__reuse_fd(uintptr_t map, int fd)',
    bpf_map__initial_value: 'uintptr_t bpf_map__initial_value(uintptr_t map, void *size)',
    bpf_map_create:
      'int bpf_map_create(int type, const char *name, uint32_t key, uint32_t value, uint32_t entries, const void *opts)',
    bpf_map_lookup_elem: 'int bpf_map_lookup_elem(int fd, const void *key, void *value)',
    bpf_map_update_elem: 'int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)',
    bpf_map_delete_elem: 'int bpf_map_delete_elem(int fd, const void *key)',
    bpf_map_get_next_key: 'int bpf_map_get_next_key(int fd, const void *key, void *next)',
    bpf_map_lookup_batch:
      'int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, void *count, const void *opts)',
    bpf_map_update_batch:
      'int bpf_map_update_batch(int fd, const void *keys, const void *values, void *count, const void *opts)',
    bpf_map_delete_batch: 'int bpf_map_delete_batch(int fd, const void *keys, void *count, const void *opts)',
    bpf_map_lookup_and_delete_elem: 'int bpf_map_lookup_and_delete_elem(int fd, const void *key, void *value)',
    bpf_map_freeze: 'int bpf_map_freeze(int fd)',
    bpf_prog_get_next_id: 'int bpf_prog_get_next_id(uint32_t id, void *next)',
    bpf_map_get_next_id: 'int bpf_map_get_next_id(uint32_t id, void *next)',
    bpf_btf_get_next_id: 'int bpf_btf_get_next_id(uint32_t id, void *next)',
    bpf_link_get_next_id: 'int bpf_link_get_next_id(uint32_t id, void *next)',
    bpf_prog_get_fd_by_id: 'int bpf_prog_get_fd_by_id(uint32_t id)',
    bpf_map_get_fd_by_id: 'int bpf_map_get_fd_by_id(uint32_t id)',
    bpf_btf_get_fd_by_id: 'int bpf_btf_get_fd_by_id(uint32_t id)',
    bpf_link_get_fd_by_id: 'int bpf_link_get_fd_by_id(uint32_t id)',
    bpf_obj_pin: 'int bpf_obj_pin(int fd, const char *path)',
    bpf_obj_get: 'int bpf_obj_get(const char *path)',
    bpf_obj_get_info_by_fd: 'int bpf_obj_get_info_by_fd(int fd, void *info, void *length)',
    bpf_prog_test_run_opts: 'int bpf_prog_test_run_opts(int fd, void *opts)',
    bpf_prog_query:
      'int bpf_prog_query(int target, int type, uint32_t flags, void *attach_flags, void *ids, void *count)',
    bpf_link_detach: 'int bpf_link_detach(int fd)',
    bpf_program__attach: 'uintptr_t bpf_program__attach(uintptr_t program)',
    bpf_program__attach_trace: 'uintptr_t bpf_program__attach_trace(uintptr_t program)',
    bpf_program__attach_trace_opts: 'uintptr_t bpf_program__attach_trace_opts(uintptr_t program, const void *opts)',
    bpf_program__attach_lsm: 'uintptr_t bpf_program__attach_lsm(uintptr_t program)',
    bpf_program__attach_freplace:
      'uintptr_t bpf_program__attach_freplace(uintptr_t program, int target, const char *function)',
    bpf_program__attach_iter: 'uintptr_t bpf_program__attach_iter(uintptr_t program, const void *opts)',
    bpf_program__attach_tracepoint_opts:
      'uintptr_t bpf_program__attach_tracepoint_opts(uintptr_t program, const char *category, const char *name, const void *opts)',
    bpf_program__attach_raw_tracepoint:
      'uintptr_t bpf_program__attach_raw_tracepoint(uintptr_t program, const char *name)',
    bpf_program__attach_perf_event_opts:
      'uintptr_t bpf_program__attach_perf_event_opts(uintptr_t program, int fd, const void *opts)',
    bpf_program__attach_kprobe_opts:
      'uintptr_t bpf_program__attach_kprobe_opts(uintptr_t program, const char *function, const void *opts)',
    bpf_program__attach_kprobe_multi_opts:
      'uintptr_t bpf_program__attach_kprobe_multi_opts(uintptr_t program, const char *pattern, const void *opts)',
    bpf_program__attach_ksyscall:
      'uintptr_t bpf_program__attach_ksyscall(uintptr_t program, const char *name, const void *opts)',
    bpf_program__attach_uprobe_opts:
      'uintptr_t bpf_program__attach_uprobe_opts(uintptr_t program, int pid, const char *path, size_t offset, const void *opts)',
    bpf_program__attach_uprobe_multi:
      'uintptr_t bpf_program__attach_uprobe_multi(uintptr_t program, int pid, const char *path, const char *pattern, const void *opts)',
    bpf_program__attach_usdt:
      'uintptr_t bpf_program__attach_usdt(uintptr_t program, int pid, const char *path, const char *provider, const char *name, const void *opts)',
    bpf_program__attach_cgroup: 'uintptr_t bpf_program__attach_cgroup(uintptr_t program, int fd)',
    bpf_program__attach_netns: 'uintptr_t bpf_program__attach_netns(uintptr_t program, int fd)',
    bpf_map__attach_struct_ops: 'uintptr_t bpf_map__attach_struct_ops(uintptr_t map)',
    bpf_link_update: 'int bpf_link_update(int fd, int program, const void *opts)',
    bpf_iter_create: 'int bpf_iter_create(int fd)',
    bpf_link__fd: 'int bpf_link__fd(uintptr_t link)',
    bpf_link__disconnect: 'void bpf_link__disconnect(uintptr_t link)',
    bpf_link__destroy: 'int bpf_link__destroy(uintptr_t link)',
    bpf_tc_hook_create: 'int bpf_tc_hook_create(void *hook)',
    bpf_tc_hook_destroy: 'int bpf_tc_hook_destroy(void *hook)',
    bpf_tc_attach: 'int bpf_tc_attach(const void *hook, void *opts)',
    bpf_tc_detach: 'int bpf_tc_detach(const void *hook, const void *opts)',
    bpf_tc_query: 'int bpf_tc_query(const void *hook, void *opts)',
    user_ring_buffer__new: 'uintptr_t user_ring_buffer__new(int fd, const void *opts)',
    user_ring_buffer__reserve: 'uintptr_t user_ring_buffer__reserve(uintptr_t ring, uint32_t size)',
    user_ring_buffer__submit: 'void user_ring_buffer__submit(uintptr_t ring, uintptr_t sample)',
    user_ring_buffer__free: 'void user_ring_buffer__free(uintptr_t ring)',
    libbpf_bpf_map_type_str: 'const char *libbpf_bpf_map_type_str(int type)',
    libbpf_bpf_prog_type_str: 'const char *libbpf_bpf_prog_type_str(int type)',
    libbpf_probe_bpf_prog_type: 'int libbpf_probe_bpf_prog_type(int type, const void *opts)',
    libbpf_probe_bpf_map_type: 'int libbpf_probe_bpf_map_type(int type, const void *opts)',
    libbpf_probe_bpf_helper: 'int libbpf_probe_bpf_helper(int type, int helper, const void *opts)',
    libbpf_version_string: 'const char *libbpf_version_string(void)',
  },
  tooOld,
);
