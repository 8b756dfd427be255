// SPDX-License-Identifier: MIT
import { Errno } from './errno';
import { systemError } from './errors';
import { CStruct } from './native/layout';
import { libbpf } from './native/libbpf';

/**
 * Reads a map with BPF_MAP_LOOKUP_BATCH (Linux 5.6).
 *
 * @param valueSize bytes per entry in the kernel's answer
 * @returns false, with nothing yielded, if the kernel or the map type has no batch look-up
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
  for (let size = batchSize; ; ) {
    const keys = new Uint8Array(size * keySize);
    const values = new Uint8Array(size * valueSize);
    count[0] = size;
    const error = -libbpf.bpf_map_lookup_batch(fd, previous, next, keys, values, count, options.bytes);
    if (error === Errno.ENOSPC) {
      // A hash bucket holds more than fits; count says nothing here, so grow and ask again.
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
