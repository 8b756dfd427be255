// SPDX-License-Identifier: MIT
import { unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { BpfMap, isBpffs, MapFlag, MapType, possibleCpus, requireBpffs, UpdateFlag } from '../src/index';
import { skipUnlessRoot, TestBpffs, u32 } from './helpers/machine';

const hashLayout = { type: MapType.HASH, keySize: 4, valueSize: 8, maxEntries: 1000, name: 'test_hash' };

function word(value: number): Uint8Array {
  return new Uint8Array(new BigUint64Array([BigInt(value)]).buffer);
}

function numbers(bytes: Uint8Array): number {
  return Buffer.from(bytes).readUIntLE(0, Math.min(6, bytes.length));
}

t.test('maps', { skip: skipUnlessRoot }, async (t) => {
  t.test('get, set, delete, iterate', async (t) => {
    using map = BpfMap.create(hashLayout);
    t.match(map, { name: 'test_hash', type: 1, keySize: 4, valueSize: 8, maxEntries: 1000, flags: 0 });
    t.ok(map.fd > 2);
    t.ok(map.id > 0);
    t.equal(map.get(u32(1)), undefined);
    t.equal(map.delete(u32(1)), false);
    map.set(u32(1), word(11));
    t.equal(numbers(map.get(u32(1))!), 11);
    t.throws(() => map.set(u32(1), word(1), UpdateFlag.NOEXIST), { code: 'BPF_SYSCALL', errnoName: 'EEXIST' });
    t.throws(() => map.set(u32(9), word(1), UpdateFlag.EXIST), { code: 'BPF_SYSCALL', errnoName: 'ENOENT' });
    for (let i = 2; i <= 700; i++) map.set(u32(i), word(i));
    t.equal(map.delete(u32(700)), true);
    const keys = [...map.keys()].map(numbers).sort((a, b) => a - b);
    t.same(
      keys,
      Array.from({ length: 699 }, (_, i) => i + 1),
    );
    for (const key of map.keys()) key.fill(0); // the iteration keeps its own copy
    const sum = (entries: Iterable<[Uint8Array, Uint8Array]>): number => {
      let total = 0;
      for (const [key, value] of entries) total += numbers(key) * 1000 + numbers(value);
      return total;
    };
    t.equal(sum(map.entriesBatch(50)), sum(map.entries()));
    t.equal(sum(map.entriesBatch(1)), sum(map.entries()), 'a batch smaller than a bucket');
    t.equal([...map.entriesBatch()].length, 699);
  });

  t.test('sizes are checked before the kernel sees them', async (t) => {
    using map = BpfMap.create(hashLayout);
    t.throws(() => map.get(new Uint8Array(3)), { code: 'BPF_USAGE', message: /key has 3 bytes, not 4/ });
    t.throws(() => map.set(u32(0), u32(0)), { code: 'BPF_USAGE', message: /value has 4 bytes, not 8/ });
    t.throws(() => map.delete(new Uint8Array(5)), { code: 'BPF_USAGE' });
    map.close();
    map.close();
    t.throws(() => map.get(u32(0)), { code: 'BPF_USAGE', message: /closed/ });
  });

  t.test('arrays in batches', async (t) => {
    using map = BpfMap.create({ type: MapType.ARRAY, keySize: 4, valueSize: 8, maxEntries: 10 });
    map.set(u32(3), word(33));
    const entries = [...map.entriesBatch(4)].map(([key, value]) => [numbers(key), numbers(value)]);
    t.same(
      entries,
      Array.from({ length: 10 }, (_, i) => [i, i === 3 ? 33 : 0]),
    );
    t.throws(() => map.delete(u32(3)), { code: 'BPF_SYSCALL', errnoName: 'EINVAL' });
  });

  t.test('a type without batch look-up falls back', async (t) => {
    using program = BpfMap.create({ type: MapType.LPM_TRIE, keySize: 8, valueSize: 4, maxEntries: 8, flags: 1 });
    program.set(new Uint8Array([32, 0, 0, 0, 10, 0, 0, 1]), u32(7));
    t.same(
      [...program.entriesBatch()].map(([, value]) => numbers(value)),
      [7],
    );
  });

  t.test('per-CPU values', async (t) => {
    using map = BpfMap.create({ type: MapType.PERCPU_ARRAY, keySize: 4, valueSize: 4, maxEntries: 2 });
    const cpus = possibleCpus();
    t.throws(() => map.get(u32(0)), { code: 'BPF_USAGE', message: /getPerCpu/ });
    t.throws(() => map.set(u32(0), u32(0)), { code: 'BPF_USAGE' });
    t.throws(() => [...map.entriesBatch()], { code: 'BPF_USAGE' });
    t.throws(() => map.setPerCpu(u32(0), []), { code: 'BPF_USAGE' });
    map.setPerCpu(
      u32(1),
      Array.from({ length: cpus }, (_, cpu) => u32(cpu + 5)),
    );
    t.same(
      map.getPerCpu(u32(1))!.map(numbers),
      Array.from({ length: cpus }, (_, cpu) => cpu + 5),
    );
    t.equal(map.getPerCpu(u32(2)), undefined);
    using plain = BpfMap.create(hashLayout);
    t.throws(() => plain.getPerCpu(u32(1)), { code: 'BPF_USAGE' });
  });

  t.test('mapped arrays', async (t) => {
    const layout = { type: MapType.ARRAY, keySize: 4, valueSize: 8, maxEntries: 600 };
    using map = BpfMap.create({ ...layout, flags: MapFlag.MMAPABLE });
    const memory = map.mmap();
    t.equal(memory.length, 4800);
    const words = new BigUint64Array(memory.buffer);
    map.set(u32(599), word(5));
    t.equal(words[599], 5n);
    words[0] = 77n;
    t.equal(numbers(map.get(u32(0))!), 77);
    memory.close();
    memory.close();
    t.equal(words[599], 0n, 'a stale view reads zeroes');
    words[0] = 1n;
    t.equal(numbers(map.get(u32(0))!), 77, 'and writes nowhere');
    using readOnly = map.mmap({ writable: false });
    t.equal(new BigUint64Array(readOnly.buffer)[0], 77n);
    using plain = BpfMap.create(layout);
    t.throws(() => plain.mmap(), { code: 'BPF_USAGE' });
  });

  t.test('pins and layout checks', async (t) => {
    using bpffs = new TestBpffs();
    const path = bpffs.file('map');
    t.equal(isBpffs(bpffs.path), true);
    requireBpffs(bpffs.path);
    {
      using map = BpfMap.create(hashLayout);
      map.set(u32(1), word(1));
      map.pin(path);
      t.throws(() => map.pin(path), { code: 'BPF_SYSCALL', errnoName: 'EEXIST' });
      t.throws(() => map.pin(bpffs.file('missing/map')), { code: 'BPFFS_MISSING' });
    }
    using again = BpfMap.openPinned(path);
    t.equal(numbers(again.get(u32(1))!), 1);
    again.checkCompatible(hashLayout);
    t.throws(() => again.checkCompatible({ type: MapType.RINGBUF, valueSize: 8, maxEntries: 5 }), {
      code: 'BPF_MAP_INCOMPATIBLE',
      message: /type is HASH, not RINGBUF, maxEntries is 1000, not 5/,
    });
    unlinkSync(path);
    t.throws(() => BpfMap.openPinned(path), { code: 'BPF_SYSCALL', errnoName: 'ENOENT' });
  });

  t.test('a directory that is no bpffs', async (t) => {
    t.equal(isBpffs(tmpdir()), false);
    t.equal(isBpffs('/nonexistent'), false);
    t.throws(() => requireBpffs(tmpdir()), { code: 'BPFFS_MISSING', message: /mount -t bpf bpf / });
    using map = BpfMap.create(hashLayout);
    t.throws(() => map.pin(join(tmpdir(), 'libbpf-ts-no-pin')), { code: 'BPFFS_MISSING' });
  });

  t.test('maps that the kernel refuses', async (t) => {
    t.throws(() => BpfMap.create({ ...hashLayout, keySize: 0 }), {
      code: 'BPF_SYSCALL',
      errnoName: 'EINVAL',
      operation: 'bpf(BPF_MAP_CREATE) HASH',
    });
  });
});
