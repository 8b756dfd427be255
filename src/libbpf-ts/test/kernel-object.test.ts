// SPDX-License-Identifier: MIT
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { BpfMap, BpfObject, MapType, VerifierError } from '../src/index';
import { compile, packet, skipUnlessRoot, u32 } from './helpers/machine';

t.test('objects', { skip: skipUnlessRoot }, async (t) => {
  const basic = compile('basic');
  const refused = compile('refused');

  t.test('names, types and constants', async (t) => {
    using object = BpfObject.open(basic);
    t.same(object.programNames.sort(), ['constants', 'count', 'emit']);
    t.same(object.mapNames.sort(), ['basic.rodata', 'counters', 'hash', 'ring', 'shared']);
    t.equal(object.btf.struct('pair').size, 8);
    t.throws(() => object.setConstants({ answer: 1, nope: 1 }), {
      code: 'BPF_UNKNOWN_NAME',
      message: /answer, flag, mode, negative, several, small, wide/,
    });
    t.throws(() => object.setConstants({ small: 256 }), { code: 'BPF_CONSTANT' });
    t.throws(() => object.setConstants({ several: 1 }), { code: 'BPF_CONSTANT', message: /array/ });
    t.throws(() => object.setConstants({ several: [1, 2, 3, 4, 5] }), {
      code: 'BPF_CONSTANT',
      message: /5 values for an array of 4/,
    });
    t.throws(() => object.setConstants({ several: [1, -1] }), {
      code: 'BPF_CONSTANT',
      message: /several\[1\]: -1 is out of range/,
    });
    t.throws(() => object.setConstants({ small: [1] }), { code: 'BPF_CONSTANT', message: /not an array/ });
    object.setConstants({ several: [5, 20000] });
    object.setConstants({ small: 2, negative: -3, wide: 1n << 32n, flag: true, mode: 1000 });
    object.load();
    using program = object.program('constants');
    t.equal(program.testRun({ data: packet() }).retval, 7 + 2 - 3 + 1 + 1 + 1000 + 20000);
    t.throws(() => object.setConstants({ small: 1 }), { code: 'BPF_USAGE', message: /loaded already/ });
    t.throws(() => object.load(), { code: 'BPF_USAGE' });
  });

  t.test('unknown names list those that exist; nothing is handed out before load', async (t) => {
    using object = BpfObject.open(readFileSync(basic), { name: 'renamed' });
    t.ok(object.mapNames.includes('renamed.rodata'));
    t.throws(() => object.map('nope'), { code: 'BPF_UNKNOWN_NAME', message: /counters, hash, / });
    t.throws(() => object.program('nope'), { code: 'BPF_UNKNOWN_NAME', message: /constants, count, emit/ });
    t.throws(() => object.setMaxEntries('nope', 1), { code: 'BPF_UNKNOWN_NAME' });
    t.throws(() => object.setMaxEntries('hash', -1), { code: 'BPF_USAGE' });
    t.throws(() => object.map('hash'), { code: 'BPF_USAGE', message: /not loaded yet/ });
    object.close();
    object.close();
    t.throws(() => object.map('hash'), { code: 'BPF_USAGE', message: /closed/ });
  });

  t.test('sizes, autoload and reuse', async (t) => {
    using existing = BpfMap.create({ type: MapType.HASH, keySize: 4, valueSize: 8, maxEntries: 77, name: 'mine' });
    existing.set(u32(1), new Uint8Array(8).fill(5));
    using object = BpfObject.open(basic);
    object.setMaxEntries('ring', 60000);
    object.setAutoload('emit', false);
    object.reuseMap('hash', existing);
    object.load();
    using ring = object.map('ring');
    t.equal(ring.maxEntries, 65536, 'rounded up by libbpf');
    using hash = object.map('hash');
    t.equal(hash.id, existing.id);
    t.equal(hash.maxEntries, 77);
    t.same(hash.get(u32(1)), new Uint8Array(8).fill(5));
    t.throws(() => object.program('emit'), { code: 'BPF_USAGE', message: /autoload/ });
  });

  t.test('a refused program gives the verifier log', async (t) => {
    using object = BpfObject.open(refused);
    let caught: unknown;
    try {
      object.load();
    } catch (error) {
      caught = error;
    }
    t.ok(caught instanceof VerifierError);
    const error = caught as VerifierError;
    t.match(error, { code: 'BPF_VERIFIER', program: 'bad', operation: 'bpf(BPF_PROG_LOAD)' });
    t.match(
      error.message,
      /^load program bad: R0 invalid mem access 'map_value_or_null' \(\d+ lines omitted\), at "return \*value;".*NULL/,
    );
    t.match(error.log, /return \*value/, 'with the source lines');
    t.throws(() => object.program('good'), { code: 'BPF_USAGE', message: /failed to load/ });

    using without = BpfObject.open(refused);
    without.setAutoload('bad', false);
    without.load();
    using good = without.program('good');
    t.equal(good.testRun({ data: packet() }).retval, 0);
  });

  t.test('loading on another thread', async (t) => {
    using object = BpfObject.open(basic);
    const loading = object.loadAsync();
    t.throws(() => object.map('hash'), { code: 'BPF_USAGE', message: /being loaded/ });
    t.throws(() => object.close(), { code: 'BPF_USAGE', message: /being loaded/ });
    await loading;
    using program = object.program('constants');
    t.type(program.testRun({ data: packet() }).retval, 'number');
    await t.rejects(object.loadAsync(), { code: 'BPF_USAGE', message: /loaded already/ });

    using without = BpfObject.open(refused);
    await t.rejects(without.loadAsync(), { code: 'BPF_VERIFIER', program: 'bad', log: /return \*value/ });
  });

  t.test('what is no object is BPF_OBJECT', async (t) => {
    t.throws(() => BpfObject.open('/nonexistent.bpf.o'), { code: 'BPF_OBJECT', message: /ENOENT/ });
    t.throws(() => BpfObject.open(Buffer.from('garbage')), { code: 'BPF_OBJECT' });
    t.throws(() => BpfObject.open(new Uint8Array(0)), { code: 'BPF_OBJECT' });
    t.throws(() => BpfObject.open(readFileSync(basic).subarray(0, 600)), { code: 'BPF_OBJECT' });
    t.throws(() => BpfObject.open(process.execPath), { code: 'BPF_OBJECT' }, 'an ELF file, but not of BPF');
  });

  t.test('a map that cannot be created is an errno, not a verifier error', async (t) => {
    using object = BpfObject.open(basic);
    object.setMaxEntries('hash', 0);
    t.throws(() => object.load(), { code: 'BPF_SYSCALL', errnoName: 'EINVAL', message: /^load basic: / });
  });

  t.test('programs: info, test run, life beyond the object', async (t) => {
    const object = BpfObject.open(basic);
    object.load();
    using program = object.program('count');
    using counters = object.map('counters');
    object.close();
    t.equal(program.name, 'count');
    t.match(program.tag, /^[0-9a-f]{16}$/);
    t.ok(program.id > 0);
    const run = program.testRun({ data: packet(100), repeat: 5 });
    t.equal(run.retval | 0, -1);
    t.equal(run.data.length, 100);
    t.type(run.durationNs, 'number');
    const packets = counters
      .getPerCpu(u32(0))!
      .reduce((sum, value) => sum + new DataView(value.buffer, value.byteOffset).getUint32(0, true), 0);
    t.equal(packets, 5);
    t.throws(() => program.testRun({ data: new Uint8Array(3) }), { code: 'BPF_SYSCALL', errnoName: 'EINVAL' });
  });

  t.test('no descriptor is left open, whatever happened', async (t) => {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const cycle = (): void => {
      using object = BpfObject.open(basic);
      object.load();
      object.map('hash').close();
      object.program('count').close();
      using bad = BpfObject.open(refused);
      t.throws(() => bad.load());
      t.throws(() => BpfObject.open(Buffer.from('x')));
    };
    cycle();
    const before = count();
    for (let i = 0; i < 5; i++) cycle();
    t.equal(count(), before);
  });
});
