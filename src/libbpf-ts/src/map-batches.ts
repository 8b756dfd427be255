// SPDX-License-Identifier: MIT
/** Many entries of a map in one system call (Linux 5.6). */
import { check, Errno, systemError } from './errors';
import { CStruct } from './native/ffi';
import { libbpf } from './native/libbpf';

/**
 * Reads a map with BPF_MAP_LOOKUP_BATCH (Linux 5.6).
 *
 * @param valueSize bytes per entry in the kernel's answer
 * @returns false, without having yielded anything, if the kernel or the map type has no batch look-up
 */
export function* lookupBatches(
  fd: number,
  keySize: number,
  valueSize: number,
  batchSize: number,
): Generator<[Uint8Array, Uint8Array], boolean> {
  const options = new CStruct(24, true);
  // The opaque position is a key for arrays and a bucket number (u32) for hashes.
  let previous: Uint8Array | null = null;
  let next: Uint8Array = new Uint8Array(Math.max(keySize, 8));
  const count = new Uint32Array(1);
  for (let size = batchSize; ;) {
    const keys = new Uint8Array(size * keySize);
    const values = new Uint8Array(size * valueSize);
    count[0] = size;
    const error = -libbpf.bpf_map_lookup_batch(fd, previous, next, keys, values, count, options.bytes);
    if (error === Errno.ENOSPC) {
      // A hash bucket holds more than fits; count means nothing here, so grow and ask again.
      size *= 2;
      continue;
    }
    if (error !== 0 && error !== Errno.ENOENT) {
      const lacking = error === Errno.EINVAL || error === Errno.ENOTSUPP || error === Errno.EOPNOTSUPP;
      if (previous === null && lacking) return false;
      throw systemError('bpf(BPF_MAP_LOOKUP_BATCH)', error, ['CAP_BPF']);
    }
    for (let i = 0; i < count[0]!; i++) {
      yield [keys.slice(i * keySize, (i + 1) * keySize), values.slice(i * valueSize, (i + 1) * valueSize)];
    }
    if (error === Errno.ENOENT) return true;
    [previous, next] = [next, previous ?? new Uint8Array(next.length)];
  }
}

/** What a batch that changes a map is made of. `count` entries lie one after another. */
export interface Batch {
  readonly keys: Uint8Array;
  /** Absent where only keys are needed. */
  readonly values?: Uint8Array;
  readonly count: number;
}

/** Puts entries one after another. */
export function packed(parts: readonly Uint8Array[], size: number): Uint8Array {
  const all = new Uint8Array(parts.length * size);
  parts.forEach((part, i) => all.set(part, i * size));
  return all;
}

/**
 * Stores entries with BPF_MAP_UPDATE_BATCH.
 *
 * @param flags {@link UpdateFlag}, for each entry
 * @returns how many were stored before the kernel refused one; all of them unless it did
 */
export function updateBatch(fd: number, batch: Required<Batch>, flags: number): { done: number; errno: number } {
  // bpf_map_batch_opts: elem_flags, flags
  const options = new CStruct(24, true).setU64(8, flags);
  const count = new Uint32Array([batch.count]);
  const error = libbpf.bpf_map_update_batch(fd, batch.keys, batch.values, count, options.bytes);
  return { done: count[0]!, errno: -error };
}

/** Removes entries with BPF_MAP_DELETE_BATCH; those that are not there are passed over. @returns how many there were */
export function deleteBatch(fd: number, { keys, count }: Batch, keySize: number): number {
  const options = new CStruct(24, true);
  let removed = 0;
  for (let from = 0; from < count;) {
    const done = new Uint32Array([count - from]);
    const error = -libbpf.bpf_map_delete_batch(fd, keys.subarray(from * keySize), done, options.bytes);
    removed += done[0]!;
    if (error === 0) break;
    if (error !== Errno.ENOENT) check(-error, 'bpf(BPF_MAP_DELETE_BATCH)', ['CAP_BPF']);
    // The kernel stops at the one that it does not find.
    from += done[0]! + 1;
  }
  return removed;
}
