// SPDX-License-Identifier: MIT
// Generated code at work: variables before and after load(), maps, ring buffers, attachments that see real packets.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

import t from 'tap';

import {
  attachTc,
  BpfMap,
  BpfObject,
  cString,
  ctypes,
  MapType,
  type PerCpuMap,
  type Skeleton,
  skeletonOf,
  TypedMap,
  type TypedRing,
} from '../src/index';
import { run } from './helpers/generated';
import { compile, packet, skipUnlessRoot, TestNetns } from './helpers/machine';

/** A class of generated code, as far as a test knows it; host/kernel-strict.test.ts has its types checked by tsc. */
interface Generated<S> {
  open(source: string | Uint8Array): S;
}

function generate<S>(
  name: string,
  className: string,
): { image: string; generated: Generated<S>; types: Record<string, never> } {
  const image = compile(name);
  using object = BpfObject.open(image);
  const exports = run(skeletonOf(object, `${name}.bpf.o`));
  return { image, generated: exports[className] as Generated<S>, types: exports as Record<string, never> };
}

interface Totals {
  readonly packets: bigint;
  readonly bytes: bigint;
}
interface Report {
  readonly length: number;
  readonly protocol: number;
  readonly ipv4: boolean;
  readonly version: number;
  readonly header_words: number;
  readonly mac: Uint8Array;
}
interface Counter extends Skeleton<'count' | 'on_call'> {
  readonly maps: { readonly by_protocol: TypedMap<number, Totals>; readonly reports: TypedRing<Report> };
  readonly rodata: { limits: object; tgid: number };
  readonly bss: { packets: bigint; calls: bigint; last_length: number };
}

t.test('packets of a namespace, through generated code', { skip: skipUnlessRoot }, async (t) => {
  const { image, generated } = generate<Counter>('counter', 'Counter');
  using netns = new TestNetns('skeleton');
  const { address } = (JSON.parse(netns.ip('-j', 'link', 'show', 'd0')) as { address: string }[])[0]!;
  netns.ip('addr', 'add', '192.0.2.1/24', 'dev', 'p0');
  netns.ip('neigh', 'add', '192.0.2.9', 'lladdr', address, 'dev', 'p0');
  const mac = (JSON.parse(netns.ip('-j', 'link', 'show', 'p0')) as { address: string }[])[0]!.address;
  const send = (text: string, count: number): void => {
    const script = `for i in $(seq ${count}); do echo -n ${text} >/dev/udp/192.0.2.9/9; done`;
    netns.inside(() => execFileSync('bash', ['-c', script]));
  };

  using skel = generated.open(image);
  skel.rodata.limits = { longest: 50 };
  skel.rodata.tgid = process.pid;
  t.same(skel.rodata.limits, { shortest: 0, longest: 50, bytes: new Uint8Array([50, 0, 0, 0]) });
  skel.load();
  t.throws(() => (skel.rodata.tgid = 1), { code: 'BPF_USAGE', message: /constant once the object is loaded/ });
  t.equal(skel.rodata.tgid, process.pid);

  netns.inside(() => {
    skel.links.count = attachTc(skel.programs.count, { ifindex: netns.ifindex('d0'), direction: 'ingress' });
  });
  // 14 bytes of Ethernet, 20 of IPv4, 8 of UDP; 51 bytes are too long for the limit.
  send('12345678', 5);
  send('123456789', 3);
  const ipv4 = skel.maps.by_protocol.get(0x0800)!;
  t.same(ipv4, { packets: 5n, bytes: 250n });
  t.equal(skel.maps.by_protocol.get(0x1234), undefined);
  const reports = [...skel.maps.reports.records()].filter(({ protocol }) => protocol === 0x0800);
  const expected = { length: 50, protocol: 0x0800, ipv4: true, version: 4, header_words: 5 };
  t.same(
    reports,
    Array.from({ length: 5 }, () => ({
      ...expected,
      mac: Uint8Array.from(Buffer.from(mac.replaceAll(':', ''), 'hex')),
    })),
  );
  t.same([...skel.maps.reports.records()], [], 'each record once');
  const total = [...skel.maps.by_protocol.values()].reduce((sum, { packets }) => sum + packets, 0n);
  t.equal(skel.bss.packets, total, 'the global variable counts as the map does');
  skel.bss.packets = 2n ** 63n;
  send('1', 1);
  t.equal(skel.bss.packets, 2n ** 63n + 1n, 'the program counts on from what was set');
  t.equal(skel.bss.last_length, 43);

  const before = skel.bss.calls;
  t.equal(before, 0n);
  skel.attach();
  t.ok(skel.links.on_call, 'attached by its section');
  readFileSync('/proc/self/stat');
  t.ok(skel.bss.calls > before, `${skel.bss.calls} calls`);
  skel.maps.by_protocol.delete(0x0800);
  t.equal(skel.maps.by_protocol.get(0x0800), undefined);
  const { packets } = skel.bss;
  skel.links.count?.close();
  send('1', 1);
  t.equal(skel.bss.packets, packets, 'no longer attached');
});

interface Everything extends Skeleton<'fill' | 'with'> {
  readonly maps: {
    readonly ring: TypedRing<{ count: number; tag: number; items: readonly number[] }>;
    readonly tagged: TypedRing<{ a: number; b: number }>;
    readonly unnamed_record: TypedRing<Uint8Array>;
    readonly untyped: TypedMap<Uint8Array, Uint8Array>;
    readonly percpu: PerCpuMap<number, { x: number; y: number }>;
    readonly arrays: TypedMap<number, Record<string, unknown>>;
    readonly delete: TypedMap<{ a: number; b: number }, Record<string, unknown>>;
  };
  readonly rodata: { settings: Record<string, unknown>; greeting: string | Uint8Array; threshold: number };
  readonly bss: { packets: bigint; latest: Record<string, unknown> };
  readonly data: { tuned: number; last: Record<string, unknown> };
  readonly data_apart: { apart: number };
  readonly kconfig: { readonly LINUX_KERNEL_VERSION: number };
}

t.test('every kind of variable, map and ring', { skip: skipUnlessRoot }, async (t) => {
  const { image, generated, types } = generate<Everything>('types', 'Types');

  t.test('variables', async (t) => {
    using skel = generated.open(readFileSync(image));
    t.equal(cString(skel.rodata.greeting as Uint8Array), 'hi', 'the value in the object');
    skel.rodata.greeting = 'Hello';
    skel.rodata.settings = { unnamed: { right: 77 }, whole: 2n ** 40n + 6n };
    skel.rodata.threshold = 100;
    t.throws(() => (skel.rodata.threshold = -1), {
      code: 'BPF_VALUE',
      message: '.rodata: threshold: -1 is out of range: 0 to 4294967295',
    });
    skel.data_apart.apart = 20;
    skel.data.tuned = 1000;
    t.throws(() => Object.assign(skel.bss, { nothing: 1 }), TypeError);
    skel.load();
    t.equal(skel.programs.fill.testRun({ data: packet() }).retval, 0);
    t.equal(skel.bss.packets, 1n);
    t.equal(skel.data.tuned, 1000 + 20 + 1 + 0 + 100, 'what the program has read and written');
    t.same(skel.data.last, { word: 6, halves: [6, 0], bytes: new Uint8Array([6, 0, 0, 0]), real: 6 * 2 ** -149 });
    t.equal((skel.bss.latest['text'] as Uint8Array)[0], 'H'.charCodeAt(0));
    t.same(skel.bss.latest['ports'], [0, 0, 77]);
    t.ok(skel.kconfig.LINUX_KERNEL_VERSION >= 0x050000);
  });

  t.test('rings', async (t) => {
    using skel = generated.open(image);
    skel.load();
    t.equal(skel.maps.ring.wait(0), false);
    for (let i = 0; i < 3; i++) skel.programs.fill.testRun({ data: packet() });
    t.equal(skel.maps.ring.wait(0), true);
    const [first] = skel.maps.ring.records(1);
    t.match(first, { count: 2, tag: 9 });
    t.same(first!.items.slice(0, 2), [0x0201, 0x0403], 'a flexible array, from the record');
    for (const record of skel.maps.ring.records()) {
      t.equal(record.tag, 9);
      break;
    }
    t.equal([...skel.maps.ring.records()].length, 1, 'the one that was not taken');
    t.same([...skel.maps.tagged.records()], Array(3).fill({ a: 1, b: 2 }));
    t.same([...skel.maps.unnamed_record.as(types['inner']!).records()], []);
    skel.programs.fill.testRun({ data: packet() });
    const long = skel.maps.tagged.as(ctypes.bytes(64));
    t.throws(() => [...long.records()], { code: 'BPF_VALUE', message: /a record of 8 bytes is too short: it has 64/ });
  });

  t.test('maps', async (t) => {
    using skel = generated.open(image);
    t.throws(() => skel.maps.arrays.get(0), { code: 'BPF_USAGE', message: /not loaded yet/ });
    skel.load();
    const cpus = skel.maps.percpu.get(0)!;
    skel.maps.percpu.set(
      1,
      cpus.map((_, cpu) => ({ x: -cpu, y: 7 })),
    );
    t.same(
      [...skel.maps.percpu].map(([key, values]) => [key, values[0]]),
      [
        [0, { x: 0, y: 0 }],
        [1, { x: 0, y: 7 }],
      ],
    );
    skel.maps.untyped.set([1, 2, 3], 'abcde');
    t.same([...skel.maps.untyped], [[new Uint8Array([1, 2, 3]), new Uint8Array(Buffer.from('abcde'))]]);
    t.throws(() => skel.maps.untyped.set([1, 2, 3, 4], 'a'), { code: 'BPF_VALUE', message: /needs 4 bytes/ });
    skel.maps.delete.set({ b: 5 }, { class: 1, __proto___2: 2 });
    t.same([...skel.maps.delete.keys()], [{ a: 0, b: 5 }]);
    t.match(skel.maps.delete.get({ b: 5 }), { class: 1, __proto___2: 2 });
    t.throws(() => skel.maps.arrays.set(2 ** 32, {}), { code: 'BPF_VALUE' });
    using other = BpfMap.create({ type: MapType.HASH, keySize: 4, valueSize: 4, maxEntries: 1 });
    t.throws(() => new TypedMap(other, ctypes.u32, ctypes.u64).get(1), {
      code: 'BPF_MAP_INCOMPATIBLE',
      message: /valueSize is 4, not 8/,
    });
  });

  t.test('what is closed says so, and leaves no descriptor', async (t) => {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const cycle = (): void => {
      const skel = generated.open(image);
      skel.load();
      skel.bss.packets = 1n;
      skel.programs.fill.testRun({ data: packet() });
      t.equal([...skel.maps.ring.records()].length, 1);
      skel.maps.percpu.get(0);
      skel.close();
      skel.close();
      t.throws(() => skel.bss.packets, { code: 'BPF_USAGE', message: /closed/ });
      t.throws(() => skel.maps.percpu.get(0), { code: 'BPF_USAGE', message: /closed/ });
      generated.open(image).close();
    };
    cycle();
    const before = count();
    for (let i = 0; i < 3; i++) cycle();
    t.equal(count(), before);
  });
});
