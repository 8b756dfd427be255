// SPDX-License-Identifier: MIT
// The kinds of attachment that kernel-attach.test.ts does not have. Each sees what it is attached to.
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';

import {
  attachCgroup,
  attachFreplace,
  attachIterator,
  attachKprobe,
  attachKprobeMulti,
  attachKsyscall,
  attachLsm,
  attachNetfilter,
  attachNetkit,
  attachNetns,
  attachPerfEvent,
  attachRawTracepoint,
  attachSocketFilter,
  attachTc,
  attachTracepoint,
  attachXdp,
  AttachType,
  BpfObject,
  kernelIsAtLeast,
  libbpfVersion,
  ProgramType,
} from '../src/index';
import { libbpf } from '../src/native/libbpf';
import { COOKIE, Kinds, orUnsupported, sees } from './helpers/kinds';
import {
  compile,
  packet,
  skipUnlessRoot,
  TestCgroup,
  TestNetns,
  TestSecurityfs,
  TestTracefs,
  u32,
} from './helpers/machine';

const quietly = (command: string, ...args: string[]): void => {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
  } catch {
    // It may be refused.
  }
};

const stat = (): unknown => statSync(tmpdir());

t.test('kinds of attachment', { skip: skipUnlessRoot }, async (t) => {
  const image = compile('kinds');
  const withCookies = kernelIsAtLeast('5.15');

  await t.test('to what the section names', async (t) => {
    using _tracefs = new TestTracefs();
    await sees(t, image, 'raw_tp', (program) => program.attach(), stat);
    await sees(t, image, 'tracepoint', (program) => program.attach(), stat);
    using it = new Kinds(image, 'xdp');
    using program = it.program('xdp');
    t.throws(() => program.attach(), { code: 'BPF_USAGE', message: /names no place; .*attachXdp/ });
  });

  await t.test('a raw tracepoint', async (t) => {
    await sees(t, image, 'raw_tp', (program) => attachRawTracepoint(program, 'sys_enter'), stat);
    using it = new Kinds(image, 'raw_tp');
    using program = it.program('raw_tp');
    t.throws(() => attachRawTracepoint(program, 'no_such_tracepoint'), { code: 'BPF_SYSCALL' });
  });

  await t.test('a tracepoint with a cookie', { skip: !withCookies && 'cookies need Linux 5.15' }, async (t) => {
    using _tracefs = new TestTracefs();
    const target = { category: 'raw_syscalls', name: 'sys_enter', cookie: COOKIE };
    await sees(t, image, 'tracepoint', (program) => attachTracepoint(program, target), stat);
    using it = new Kinds(image, 'tracepoint');
    using program = it.program('tracepoint');
    for (const cookie of [-1, 1.5, 1n << 64n])
      t.throws(() => attachTracepoint(program, { ...target, cookie }), { code: 'BPF_USAGE', message: /cookie is/ });
  });

  await t.test('a perf event', async (t) => {
    const busy = (): void => {
      for (const end = Date.now() + 100; Date.now() < end;);
    };
    const target = { event: 'cpu-clock', frequency: 1000, pid: 0, ...(withCookies && { cookie: COOKIE }) } as const;
    await sees(t, image, 'perf_event', (program) => attachPerfEvent(program, target), busy, 5);
    using it = new Kinds(image, 'perf_event');
    using program = it.program('perf_event');
    t.throws(() => attachPerfEvent(program, { event: 'cpu-clock', pid: 0 }), { code: 'BPF_USAGE' });
    t.throws(() => attachPerfEvent(program, { event: 'cpu-clock', period: 1 }), { code: 'BPF_USAGE' });
    t.throws(() => attachPerfEvent(program, { event: 'no' as 'cpu-clock', period: 1, pid: 0 }), {
      code: 'BPF_USAGE',
      message: /there are: cpu-clock/,
    });
  });

  await t.test('kernel functions', async (t) => {
    using _tracefs = new TestTracefs();
    const cookie = withCookies ? { cookie: COOKIE } : {};
    await t.test('kprobe with a cookie', (t) =>
      sees(t, image, 'kprobe', (program) => attachKprobe(program, { function: 'vfs_statx', ...cookie }), stat),
    );
    await t.test('ksyscall', (t) =>
      sees(
        t,
        image,
        'ksyscall',
        (program) => attachKsyscall(program, { syscall: 'getppid', ...cookie }),
        () => process.ppid,
      ),
    );
    await t.test('kprobe.multi', async (t) => {
      await sees(
        t,
        image,
        'kprobe_multi',
        (program) => attachKprobeMulti(program, { functions: ['vfs_statx', 'vfs_open'], cookies: [COOKIE, COOKIE] }),
        stat,
      );
      await sees(t, image, 'kprobe_multi', (program) => attachKprobeMulti(program, { pattern: 'vfs_stat*' }), stat);
    });
    await t.test('arguments', async (t) => {
      const loaded = orUnsupported(() => new Kinds(image, 'kprobe_multi'));
      if (typeof loaded === 'string') return void t.pass('loads', { skip: loaded });
      using it = loaded;
      using program = it.program('kprobe_multi');
      t.throws(() => attachKprobeMulti(program, {}), { code: 'BPF_USAGE' });
      t.throws(() => attachKprobeMulti(program, { functions: ['a'], cookies: [1, 2] }), { code: 'BPF_USAGE' });
    });
  });

  await t.test('a security hook', async (t) => {
    const loaded = orUnsupported(() => new Kinds(image, 'lsm'));
    if (typeof loaded === 'string') return void t.pass('loads', { skip: loaded });
    using it = loaded;
    using program = it.program('lsm');
    const link = orUnsupported(() => attachLsm(program));
    if (typeof link === 'string') return void t.pass('attaches', { skip: link });
    using security = new TestSecurityfs();
    const asked = security.modules.includes('bpf');
    const hits = it.during('lsm', () => it.program('lsm').close());
    if (asked) t.ok(hits >= 1, 'it is asked about bpf(2)');
    else t.pass('it is asked', { skip: 'bpf is not among the security modules of this machine' });
    link.close();
  });

  await t.test('iterators', async (t) => {
    using object = BpfObject.open(compile('iterators'));
    if (!kernelIsAtLeast('5.9')) return void t.pass('loads', { skip: 'iterators over maps need Linux 5.9' });
    object.load();
    using tasks = object.program('each_task');
    using each = attachIterator(tasks);
    const lines = each.read().toString().trim().split('\n').map(Number);
    t.ok(lines.includes(process.pid), 'all tasks, this process among them');
    let streamed = '';
    for await (const chunk of each.open()) streamed += String(chunk);
    t.ok(streamed.trim().split('\n').map(Number).includes(process.pid), 'as a stream, from the beginning again');

    using numbers = object.map('numbers');
    for (let key = 1; key <= 50; key++)
      numbers.set(u32(key), new Uint8Array(new BigUint64Array([BigInt(key) ** 9n]).buffer));
    using entries = object.program('each_entry');
    using entry = attachIterator(entries, { map: numbers });
    const read = entry.read().toString().trim().split('\n').sort();
    t.same(
      read,
      Array.from({ length: 50 }, (_, i) => `${i + 1} ${BigInt(i + 1) ** 9n}`).sort(),
      'the entries of a map',
    );
    if (kernelIsAtLeast('6.1')) {
      using mine = attachIterator(tasks, { pid: process.pid });
      const own = new Set(mine.read().toString().trim().split('\n').map(Number));
      t.same([...own], [process.pid], 'the threads of one process');
    }
    each.close();
    t.throws(() => each.read(), { code: 'BPF_USAGE' });
  });

  await t.test('a socket', async (t) => {
    using it = new Kinds(image, 'socket');
    using program = it.program('socket');
    const receiver = createSocket('udp4').bind(0, '127.0.0.1');
    await once(receiver, 'listening');
    const sender = createSocket('udp4');
    const { fd } = (receiver as unknown as { _handle: { fd: number } })._handle;
    let received = 0;
    receiver.on('message', () => received++);
    const send = async (): Promise<void> => {
      await new Promise((resolve) => sender.send('x', receiver.address().port, '127.0.0.1', resolve));
      await sleep(50);
    };
    await send();
    t.equal(received, 1);
    const filter = attachSocketFilter(program, fd);
    await send();
    t.equal(received, 1, 'the program lets nothing through');
    filter.close();
    filter.close();
    await send();
    t.equal(received, 2, 'close() takes it away');
    t.throws(() => attachSocketFilter(program, 1_000_000), { code: 'BPF_SYSCALL', errnoName: 'EBADF' });
    receiver.close();
    sender.close();
  });

  await t.test('a network namespace', async (t) => {
    using netns = new TestNetns('kinds');
    netns.ip('link', 'set', 'lo', 'up');
    const datagram = (): void => quietly('ip', 'netns', 'exec', netns.name, 'bash', '-c', 'echo >/dev/udp/127.0.0.1/9');
    await sees(
      t,
      image,
      'sk_lookup',
      (program) => attachNetns(program, { path: `/run/netns/${netns.name}` }),
      datagram,
    );
    await sees(t, image, 'sk_lookup', (program) => netns.inside(() => attachNetns(program)), datagram);
    using it = new Kinds(image, 'flow_dissector');
    using program = it.program('flow_dissector');
    const link = netns.inside(() => attachNetns(program));
    t.throws(() => netns.inside(() => attachNetns(program)), { code: 'BPF_SYSCALL', errnoName: /EEXIST|E2BIG|EBUSY/ });
    link.close();
    t.throws(() => attachNetns(program, { path: '/nonexistent' }), { code: 'BPF_SYSCALL', errnoName: 'ENOENT' });
  });

  await t.test('netfilter', async (t) => {
    using netns = new TestNetns('netfilter');
    netns.ip('link', 'set', 'lo', 'up');
    using object = BpfObject.open(compile('netfilter'));
    object.setType('on_netfilter', ProgramType.NETFILTER, AttachType.NETFILTER);
    if (!kernelIsAtLeast('6.4')) return void t.pass('loads', { skip: 'netfilter programs need Linux 6.4' });
    object.load();
    using program = object.program('on_netfilter');
    using globals = object.map('.bss');
    const packets = (): number => Buffer.from(globals.get(u32(0))!).readUIntLE(0, 6);
    const target = { family: 'ipv4', hook: 'output', priority: -5 } as const;
    const link = netns.inside(() => attachNetfilter(program, target));
    netns.inside(() => quietly('ping', '-c3', '-i0.01', '127.0.0.1'));
    t.ok(packets() >= 3, 'it sees what is sent');
    t.throws(() => netns.inside(() => attachNetfilter(program, target)), { code: 'BPF_SYSCALL', errnoName: 'EBUSY' });
    link.close();
    const before = packets();
    netns.inside(() => quietly('ping', '-c3', '-i0.01', '127.0.0.1'));
    t.equal(packets(), before, 'close() ends it');
    t.throws(() => attachNetfilter(program, { ...target, family: 'ipx' as 'ipv4' }), { code: 'BPF_USAGE' });
  });

  await t.test('kinds of cgroup programs', async (t) => {
    using netns = new TestNetns('cgroups');
    netns.ip('link', 'set', 'lo', 'up');
    using cgroup = new TestCgroup();
    const path = cgroup.path;
    const inside = (command: string) => (): void => {
      netns.inside(() => {
        try {
          cgroup.run(command);
        } catch {
          // A refusal is what is expected.
        }
      });
    };
    const connect = inside("bash -c 'echo >/dev/tcp/127.0.0.1/9'");
    for (const [name, action] of [
      ['connect4', connect],
      ['sysctl', inside('cat /proc/sys/kernel/ostype')],
      ['device', inside('head -c1 /dev/zero')],
      ['sockops', connect],
      ['cgroup_ingress', inside('ping -c2 -i0.01 127.0.0.1')],
    ] as const)
      await t.test(name, (t) => sees(t, image, name, (program) => attachCgroup(program, { path }), action));

    await t.test('another program in the place of the first', async (t) => {
      using it = new Kinds(image, 'connect4', 'connect4_too');
      using first = it.program('connect4');
      using second = it.program('connect4_too');
      using link = attachCgroup(first, { path });
      t.throws(() => link.update(second, { expected: second }), { code: 'BPF_SYSCALL', errnoName: 'EPERM' });
      link.update(second, { expected: first });
      t.equal(it.during('connect4', connect), 0);
      t.ok(it.during('connect4_too', connect) >= 1);
    });
  });

  await t.test('XDP: another program in the place of the first', async (t) => {
    using netns = new TestNetns('update');
    using it = new Kinds(image, 'xdp', 'tc');
    using program = it.program('xdp');
    using other = it.program('tc');
    using link = netns.inside(() => attachXdp(program, { ifindex: netns.ifindex('d0'), mode: 'generic' }));
    link.update(program);
    t.throws(() => link.update(other), { code: 'BPF_SYSCALL', errnoName: 'EINVAL' });
    link.close();
    t.throws(() => link.update(program), { code: 'BPF_USAGE' });
  });

  await t.test('TC: a place among others', async (t) => {
    using netns = new TestNetns('anchors');
    using it = new Kinds(image, 'tc', 'tc_too');
    using one = it.program('tc');
    using two = it.program('tc_too');
    const ifindex = netns.ifindex('d0');
    const target = { ifindex, direction: 'ingress' } as const;
    const order = (): number[] =>
      netns.inside(() => {
        const ids = new Uint32Array(8);
        const count = new Uint32Array([8]);
        libbpf.bpf_prog_query(ifindex, AttachType.TCX_INGRESS, 0, null, ids, count);
        return [...ids.subarray(0, count[0])];
      });
    const link = netns.inside(() => attachTc(one, target));
    const add = (place: object): string | undefined => {
      const added = orUnsupported(() => netns.inside(() => attachTc(two, { ...target, ...place })));
      if (typeof added === 'string') return added;
      const ids = order();
      added.detach();
      return ids.map((id) => (id === one.id ? 'one' : id === two.id ? 'two' : '?')).join(' ');
    };
    const first = add({ first: true });
    if (link.kind === 'clsact') {
      t.match(first, /order of TC programs is not supported/);
    } else {
      t.equal(first, 'two one');
      t.equal(add({}), 'one two');
      t.equal(add({ last: true }), 'one two');
      t.equal(add({ before: one }), 'two one');
      t.equal(add({ after: one }), 'one two');
      t.equal(add({ before: { id: link.id! } }), 'two one', 'a link');
      t.throws(() => add({ before: two }), { code: 'BPF_SYSCALL', errnoName: 'ENOENT' });
      t.throws(() => add({ expectedRevision: 999 }), { code: 'BPF_SYSCALL', errnoName: 'ESTALE' });
      t.throws(() => add({ before: one, first: true }), { code: 'BPF_USAGE' });
    }
    link.detach();
  });

  await t.test('netkit', async (t) => {
    using netns = new TestNetns('netkit');
    try {
      netns.ip('link', 'add', 'k0', 'type', 'netkit', 'peer', 'name', 'k1');
    } catch {
      return void t.pass('attaches', { skip: 'there are no netkit devices' });
    }
    using object = BpfObject.open(image);
    for (const name of object.programNames) object.setAutoload(name, name === 'on_tc');
    object.setType('on_tc', ProgramType.SCHED_CLS, AttachType.NETKIT_PRIMARY);
    object.load();
    using program = object.program('on_tc');
    using link = netns.inside(() => attachNetkit(program, { ifindex: netns.ifindex('k0'), side: 'primary' }));
    t.equal(link.info?.progId, program.id);
  });

  await t.test('a function of another program', async (t) => {
    using target = BpfObject.open(compile('replace'));
    target.load();
    using asks = target.program('asks');
    t.equal(asks.testRun({ data: packet() }).retval, 1);
    using object = BpfObject.open(compile('replacement'));
    object.setAttachTarget('other_answer', { function: 'answer', program: asks });
    const loaded = orUnsupported(() => object.load());
    if (typeof loaded === 'string') return void t.pass('loads', { skip: loaded });
    using replacement = object.program('other_answer');
    const link = orUnsupported(() => attachFreplace(replacement, { program: asks, function: 'answer' }));
    if (typeof link === 'string') return void t.pass('attaches', { skip: link });
    t.equal(asks.testRun({ data: packet() }).retval, 42);
    link.close();
    t.equal(asks.testRun({ data: packet() }).retval, 1);
  });

  await t.test('struct_ops', async (t) => {
    using object = BpfObject.open(compile('congestion'));
    const loaded = orUnsupported(() => object.load());
    if (typeof loaded === 'string') return void t.pass('loads', { skip: loaded });
    const available = (): string => readFileSync('/proc/sys/net/ipv4/tcp_available_congestion_control', 'utf8');
    const link = object.attachStructOps('steady');
    t.match(available(), /bpf_ts_steady/);
    link.close();
    t.notMatch(available(), /bpf_ts_steady/);
  });

  await t.test('a libbpf that is too old says so', async (t) => {
    const [major = 0, minor = 0] = libbpfVersion().replace(/^v/, '').split('.').map(Number);
    if (major > 1 || minor >= 3) return void t.pass('says so', { skip: `libbpf ${libbpfVersion()} has everything` });
    t.throws(() => libbpf.bpf_program__attach_uprobe_multi, {
      code: 'LIBBPF_TOO_OLD',
      minimumLibbpf: '1.3',
      message: /needs libbpf 1\.3/,
    });
  });
});
