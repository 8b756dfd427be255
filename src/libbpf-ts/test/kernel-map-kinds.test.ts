// SPDX-License-Identifier: MIT
// Kinds of maps, and what can be done with many entries, that kernel-map.test.ts does not have.
import { existsSync } from 'node:fs';
import t from 'tap';

import {
  attachXdp,
  BpfMap,
  BpfObject,
  BpfProgram,
  kernelIsAtLeast,
  Link,
  listIds,
  MapFlag,
  MapType,
  pageSize,
  possibleCpus,
  UpdateFlag,
  UserRingBuffer,
} from '../src/index';
import { compile, packet, skipUnlessRoot, TestNetns, u32 } from './helpers/machine';

const u64 = (value: bigint): Uint8Array => new Uint8Array(new BigUint64Array([value]).buffer);
const number = (bytes: Uint8Array | undefined): bigint | undefined =>
  bytes && new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);

const create = (type: number, keySize = 4, maxEntries = 16, more: object = {}): BpfMap =>
  BpfMap.create({ type, keySize, valueSize: 8, maxEntries, ...more });

/** For tap: why a test cannot run on an older kernel. */
const unlessLinux = (version: string): string | false =>
  !kernelIsAtLeast(version) && `this kind of map requires Linux ${version}`;

t.test('kinds of maps', { skip: skipUnlessRoot }, async (t) => {
  await t.test('queue and stack', { skip: unlessLinux('4.20') }, async (t) => {
    for (const [type, order] of [
      [MapType.QUEUE, [1n, 2n, 3n]],
      [MapType.STACK, [3n, 2n, 1n]],
    ] as const) {
      using map = create(type, 0, 3);
      t.equal(map.pop(), undefined);
      for (const value of [1n, 2n, 3n]) map.push(u64(value));
      t.throws(() => map.push(u64(4n)), { code: 'BPF_SYSCALL', errnoName: 'E2BIG' });
      t.equal(number(map.peek()), order[0]);
      t.same([map.pop(), map.pop(), map.pop(), map.pop()].map(number), [...order, undefined]);
      for (const value of [1n, 2n, 3n]) map.push(u64(value));
      map.push(u64(4n), UpdateFlag.EXIST);
      t.equal(number(map.pop()), type === MapType.QUEUE ? 2n : 4n, 'the oldest has given way');
    }
    using hash = create(MapType.HASH);
    t.throws(() => hash.pop(), { code: 'BPF_USAGE', message: /HASH has keys/ });
    t.throws(() => hash.push(u64(1n)), { code: 'BPF_USAGE' });
  });

  await t.test('bloom filter', { skip: unlessLinux('5.16') }, async (t) => {
    using map = create(MapType.BLOOM_FILTER, 0, 100);
    map.push(u64(7n));
    t.equal(map.mayHave(u64(7n)), true);
    const others = Array.from({ length: 100 }, (_, i) => map.mayHave(u64(1000n + BigInt(i))));
    t.ok(others.includes(false), 'it does not have everything');
  });

  await t.test('maps of maps', async (t) => {
    for (const type of [MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS]) {
      using inner = create(MapType.HASH);
      using map = BpfMap.create({ type, keySize: 4, valueSize: 4, maxEntries: 4, innerMap: inner });
      t.equal(map.getMap(u32(1)), undefined);
      inner.set(u32(5), u64(55n));
      map.setMap(u32(1), inner);
      using opened = map.getMap(u32(1))!;
      t.equal(opened.id, inner.id);
      t.equal(number(opened.get(u32(5))), 55n);
      using other = create(MapType.ARRAY);
      t.throws(() => map.setMap(u32(2), other), { code: 'BPF_SYSCALL', errnoName: 'EINVAL' });
      t.throws(() => inner.getMap(u32(5)), { code: 'BPF_USAGE' });
    }
  });

  await t.test('many entries at once', async (t) => {
    for (const type of [MapType.HASH, MapType.ARRAY]) {
      using map = create(type, 4, 1000);
      const entries = Array.from({ length: 1000 }, (_, i) => [u32(i), u64(BigInt(i) * 3n)] as const);
      map.setBatch(entries);
      for (const [key, value] of entries) if (number(map.get(key)) !== number(value)) t.fail(`entry of type ${type}`);
      if (type === MapType.ARRAY) continue;
      t.equal(map.deleteBatch([0, 1, 5000, 2, 6000].map(u32)), 3, 'those that were there');
      t.equal([...map.keys()].length, 997);
      t.equal(map.deleteBatch([]), 0);
    }
    using small = create(MapType.HASH, 4, 2);
    t.throws(() => small.setBatch([1, 2, 3].map((key) => [u32(key), u64(1n)] as const)), {
      code: 'BPF_SYSCALL',
      errnoName: 'E2BIG',
    });
    t.throws(() => small.setBatch([[u32(1), u32(1)]]), { code: 'BPF_USAGE', message: /value has 4 bytes, not 8/ });
  });

  await t.test('values of each CPU', async (t) => {
    using map = create(MapType.PERCPU_HASH);
    const values = Array.from({ length: possibleCpus() }, (_, cpu) => u64(BigInt(cpu)));
    for (const key of [3, 4]) map.setPerCpu(u32(key), values);
    const all = [...map.entriesPerCpu()];
    t.equal(all.length, 2);
    for (const [, each] of all) t.same(each.map(number), values.map(number));
  });

  await t.test('a frozen map', { skip: unlessLinux('5.2') }, async (t) => {
    using map = create(MapType.ARRAY, 4, 4);
    map.set(u32(0), u64(1n));
    map.freeze();
    t.equal(number(map.get(u32(0))), 1n);
    t.throws(() => map.set(u32(0), u64(2n)), { code: 'BPF_SYSCALL', errnoName: 'EPERM' });
  });

  await t.test('an arena', { skip: unlessLinux('6.9') }, async (t) => {
    using map = BpfMap.create({
      type: MapType.ARENA,
      keySize: 0,
      valueSize: 0,
      maxEntries: 4,
      flags: MapFlag.MMAPABLE,
    });
    using memory = map.mmap();
    t.equal(memory.buffer.byteLength, 4 * pageSize());
    new Uint8Array(memory.buffer)[5] = 7;
    t.equal(new Uint8Array(memory.buffer)[5], 7);
  });

  await t.test('everything by its number', async (t) => {
    using netns = new TestNetns('ids');
    using map = create(MapType.HASH);
    using object = BpfObject.open(compile('kinds'));
    for (const name of object.programNames) object.setAutoload(name, name === 'on_xdp');
    object.load();
    using program = object.program('on_xdp');
    using link = netns.inside(() => attachXdp(program, { ifindex: netns.ifindex('d0'), mode: 'generic' }));
    t.ok([...listIds('map')].includes(map.id));
    t.ok([...listIds('program')].includes(program.id));
    t.ok([...listIds('link')].includes(link.info!.id));
    if (existsSync('/sys/kernel/btf/vmlinux')) t.ok([...listIds('btf')].length > 0);
    using sameMap = BpfMap.fromId(map.id);
    using sameProgram = BpfProgram.fromId(program.id);
    using sameLink = Link.fromId(link.info!.id);
    t.equal(sameMap.id, map.id);
    t.equal(sameProgram.tag, program.tag);
    t.equal(sameLink.info?.progId, program.id);
    t.throws(() => BpfMap.fromId(0xffff_fff0), { code: 'BPF_SYSCALL', errnoName: 'ENOENT' });
    t.throws(() => BpfMap.fromId(0), { code: 'BPF_USAGE' });
    t.throws(() => [...listIds('maps' as 'map')], { code: 'BPF_USAGE', message: /there are: program, map/ });
  });

  await t.test('from user space to a program', { skip: unlessLinux('6.1') }, async (t) => {
    using object = BpfObject.open(compile('user-ring'));
    object.load();
    using program = object.program('drain');
    using map = object.map('requests');
    using globals = object.map('.bss');
    using ring = new UserRingBuffer(map);
    let sent = 0n;
    while (ring.submit(u64(sent + 1n))) sent++;
    t.equal(sent, 256n, '4096 bytes of records of 16');
    program.testRun({ data: packet() });
    t.equal(number(globals.get(u32(0))), (sent * (sent + 1n)) / 2n, 'the program has read them all');
    t.equal(ring.submit(u64(1n)), true, 'there is space again');
    t.throws(() => ring.submit(new Uint8Array(5000)), { code: 'BPF_SYSCALL', errnoName: 'E2BIG' });
    ring.close();
    t.throws(() => ring.submit(u64(1n)), { code: 'BPF_USAGE' });
  });
});
