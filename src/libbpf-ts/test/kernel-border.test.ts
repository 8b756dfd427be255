// SPDX-License-Identifier: MIT
// Arguments that C would cut, and pins of another kind, are usage errors; the kernel is not asked.
import t from 'tap';

import {
  attachCgroup,
  attachKprobe,
  attachTc,
  attachTracepoint,
  attachXdp,
  BpfMap,
  BpfObject,
  BpfProgram,
  Link,
  MapType,
  MappedMemory,
  openTcLink,
  RingBuffer,
  RingWaiter,
  type TcDirection,
  type XdpMode,
} from '../src/index';
import { compile, loadOnly, packet, skipUnlessRoot, TestBpffs, TestNetns, u32 } from './helpers/machine';
import { runScript } from './helpers/script';

const hash = { type: MapType.HASH, keySize: 4, valueSize: 8, maxEntries: 4 };
const usage = { code: 'BPF_USAGE' };

t.test('arguments', { skip: skipUnlessRoot }, async (t) => {
  using object = loadOnly(compile('attach'), 'on_xdp');
  using xdp = object.program('on_xdp');
  using basic = BpfObject.open(compile('basic'));
  basic.load();
  using tc = basic.program('count');
  const any = (value: unknown): number => value as number;

  await t.test('integers of maps', async (t) => {
    for (const wrong of [2 ** 32 + 4, 2 ** 32, -1, 1.5, NaN, Infinity, any('4'), any(undefined), any(4n)]) {
      for (const field of ['maxEntries', 'keySize', 'valueSize'] as const) {
        t.throws(() => BpfMap.create({ ...hash, [field]: wrong }).close(), { ...usage, message: new RegExp(field) });
      }
      if (wrong !== undefined) t.throws(() => BpfMap.create({ ...hash, flags: wrong }).close(), usage);
      t.throws(() => BpfMap.create({ ...hash, type: wrong }).close(), usage);
    }
    using map = BpfMap.create(hash);
    for (const wrong of [NaN, 0, -1, 0.5, 2 ** 32, any('1')]) t.throws(() => [...map.entriesBatch(wrong)], usage);
    for (const wrong of [NaN, -1, 0.5, 2 ** 53, any('1')])
      t.throws(() => map.set(u32(1), new Uint8Array(8), wrong), usage);
    t.throws(() => map.get('1234' as unknown as Uint8Array), { ...usage, message: /not a Uint8Array/ });
    t.throws(() => map.set(u32(1), new Float64Array(1) as unknown as Uint8Array), usage);
    for (const wrong of [2 ** 32 + 3, 0.5, NaN]) t.throws(() => BpfMap.fromFd(wrong), usage);
  });

  await t.test('devices, directions and modes', async (t) => {
    for (const ifindex of [2 ** 32 + 1, 2 ** 31, 0, -1, 1.5, NaN, any('1'), any(undefined)]) {
      t.throws(() => attachTc(tc, { ifindex, direction: 'ingress' }).close(), { ...usage, message: /ifindex/ });
      t.throws(() => attachXdp(xdp, { ifindex }).close(), { ...usage, message: /ifindex/ });
    }
    const direction = 'sideways' as TcDirection;
    t.throws(() => attachTc(tc, { ifindex: 1, direction }), { ...usage, message: /sideways.*ingress, egress/ });
    t.throws(() => attachTc(tc, { ifindex: 1, direction: 'ingress', prefer: 'qdisc' as 'tcx' }), usage);
    t.throws(() => attachXdp(xdp, { ifindex: 1, mode: 'fast' as XdpMode }), { ...usage, message: /native, generic/ });
  });

  await t.test('integers of other calls', async (t) => {
    for (const repeat of [2 ** 32, -1, 0.5, NaN]) t.throws(() => tc.testRun({ data: packet(), repeat }), usage);
    for (const dataOutSize of [2 ** 32, -1, 0.5, NaN])
      t.throws(() => tc.testRun({ data: packet(), dataOutSize }), usage);
    t.throws(() => tc.testRun({ data: 'x' as unknown as Uint8Array }), usage);
    using ring = basic.map('ring');
    for (const capacity of [0, -1, 0.5, NaN, 2 ** 32]) t.throws(() => new RingBuffer(ring, { capacity }), usage);
    using waiter = new RingWaiter();
    for (const wrong of [NaN, -2, 2 ** 31, Infinity]) t.throws(() => waiter.wait(wrong), usage);
    t.equal(waiter.wait(0.5), 0);
    for (const length of [0, -1, 0.5, NaN, 2 ** 53]) t.throws(() => MappedMemory.map({ length }), usage);
  });

  await t.test('NUL in texts', async (t) => {
    using map = BpfMap.create(hash);
    t.throws(() => map.pin('/sys/fs/bpf/a\0b'), { ...usage, message: /NUL/ });
    for (const open of [BpfMap.openPinned, BpfProgram.openPinned, Link.openPinned, openTcLink]) {
      t.throws(() => open('/sys/fs/bpf/a\0b'), { ...usage, message: /NUL/ });
      t.throws(() => open(''), usage);
      t.throws(() => open(undefined as unknown as string), usage);
    }
    t.throws(() => BpfObject.open('/tmp/a\0b'), { ...usage, message: /NUL/ });
    t.throws(() => BpfObject.open(Buffer.from('x'), { name: 'a\0b' }), usage);
    t.throws(() => BpfMap.create({ ...hash, name: 'a\0b' }), usage);
    t.throws(() => attachTracepoint(tc, { category: 'a\0', name: 'b' }), usage);
    t.throws(() => attachKprobe(tc, { function: 'a\0' }), usage);
    t.throws(() => attachCgroup(tc, { path: '/a\0' }), usage);
  });

  await t.test('what is pinned is what is opened', async (t) => {
    using bpffs = new TestBpffs();
    using netns = new TestNetns('border');
    using map = BpfMap.create(hash);
    using link = netns.inside(() => attachXdp(xdp, { ifindex: netns.ifindex('d0') }));
    map.pin(bpffs.file('map'));
    xdp.pin(bpffs.file('program'));
    link.pin(bpffs.file('link'));
    const open = { map: BpfMap.openPinned, program: BpfProgram.openPinned, link: Link.openPinned } as const;
    const kinds = ['map', 'program', 'link'] as const;
    for (const wanted of kinds) {
      for (const pinned of kinds) {
        const action = (): void => open[wanted](bpffs.file(pinned)).close();
        if (wanted === pinned) t.doesNotThrow(action);
        else t.throws(action, { ...usage, message: `it is a ${pinned}, not a ${wanted}` });
      }
    }
    t.throws(() => openTcLink(bpffs.file('map')), usage);
    t.throws(() => openTcLink(bpffs.file('link')), usage, 'a link, but not of TC');
    t.throws(() => BpfMap.fromFd(xdp.fd), usage);
    t.throws(() => BpfProgram.fromFd(map.fd), usage);
    t.throws(() => new RingBuffer(xdp.fd), usage);
    link.detach();
  });
});

t.test('a peer with a large MTU', { skip: skipUnlessRoot }, async (t) => {
  using netns = new TestNetns('xdp-mtu');
  netns.ip('link', 'set', 'p0', 'mtu', '9000');
  using object = loadOnly(compile('attach'), 'on_xdp');
  using program = object.program('on_xdp');
  const ifindex = netns.ifindex('d0');
  for (const mode of [undefined, 'native'] as const) {
    t.throws(() => netns.inside(() => attachXdp(program, mode ? { ifindex, mode } : { ifindex })), {
      code: 'BPF_SYSCALL',
      errnoName: 'ERANGE',
      message: /mode: 'generic'.*xdp\.frags/,
    });
  }
  {
    using link = netns.inside(() => attachXdp(program, { ifindex, mode: 'generic' }));
    t.match(netns.ip('link', 'show', 'd0'), /xdpgeneric/);
    t.ok(link.info);
    t.throws(() => netns.inside(() => attachXdp(program, { ifindex, mode: 'generic' })), {
      errnoName: 'EBUSY',
      message: /has an XDP program already/,
    });
  }
  t.notMatch(netns.ip('link', 'show', 'd0'), /xdp/);
  netns.ip('link', 'set', 'p0', 'mtu', '1500');
  using native = netns.inside(() => attachXdp(program, { ifindex, mode: 'native' }));
  t.ok(native.info);
  t.match(netns.ip('link', 'show', 'd0'), / xdp /);
  t.throws(() => netns.inside(() => attachXdp(program, { ifindex: 12345 })), {
    errnoName: 'EINVAL',
    message: /no such device/,
  });
});

t.test('programs that run with a context alone', { skip: skipUnlessRoot }, async (t) => {
  using object = BpfObject.open(compile('runs'));
  object.load();
  using add = object.program('add');
  const ctx = new Uint8Array(new BigUint64Array([30n, 12n, 0n]).buffer);
  const run = add.testRun({ ctx });
  t.equal(run.retval, 5);
  t.same(new BigUint64Array(run.ctx.buffer, 0, 3), new BigUint64Array([30n, 12n, 42n]));
  t.equal(new BigUint64Array(ctx.buffer)[2], 0n, "the caller's bytes stay");
  t.throws(() => add.testRun({ ctx, data: packet() }), { ...usage, message: /with ctx alone/ });
  t.throws(() => add.testRun({ ctx, repeat: 2 }), usage);
  using raw = object.program('first_argument');
  t.equal(raw.testRun({ ctx: new Uint8Array(new BigUint64Array([41n]).buffer) }).retval, 42);
  t.equal(raw.testRun({ ctx: new Uint8Array(8), cpu: 0 }).retval, 1);
});

t.test('without privilege a probe says nothing', { skip: skipUnlessRoot }, async (t) => {
  const script = `console.log(JSON.stringify(ts.probeFeatures().map(({ name, supported }) => [name, supported ?? null])));`;
  const known = ['btf-vmlinux', 'jit'];
  for (const wrapper of [
    ['setpriv', '--bounding-set', '-bpf,-sys_admin', '--inh-caps', '-bpf,-sys_admin'],
    ['unshare', '-U', '-r'],
  ]) {
    const { stdout, stderr } = await runScript(script, { wrapper });
    t.equal(stderr, '');
    const features = JSON.parse(stdout) as [string, boolean | null][];
    t.ok(features.length > 5);
    for (const [name, supported] of features)
      if (!known.includes(name)) t.not(supported, false, `${name}, ${wrapper[0]}`);
    t.equal(features.find(([name]) => name === 'ringbuf-dynptr')?.[1], null, wrapper[0]!);
  }
});
