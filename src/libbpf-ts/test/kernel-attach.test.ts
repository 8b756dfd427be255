// SPDX-License-Identifier: MIT
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import {
  attachCgroup,
  attachKprobe,
  attachTrace,
  attachTracepoint,
  attachXdp,
  BpfObject,
  BpfProgram,
  kernelIsAtLeast,
  Link,
  LinkType,
  NotSupportedError,
} from '../src/index';
import { compile, skipUnlessRoot, TestBpffs, TestCgroup, TestNetns, TestTracefs, u32 } from './helpers/machine';

const keys = { xdp: 0, tracepoint: 1, kprobe: 2, kretprobe: 3, fentry: 4, fexit: 5, cgroup: 6, tp_btf: 7 } as const;
type Name = keyof typeof keys;

/** One program, loaded without the others: the kernel may lack what one of those needs. */
class Loaded implements Disposable {
  readonly object: BpfObject;
  readonly program: BpfProgram;

  constructor(
    image: string,
    readonly name: Name,
  ) {
    this.object = BpfObject.open(image);
    for (const other of this.object.programNames) this.object.setAutoload(other, other === `on_${name}`);
    this.object.setConstants({ tgid: process.pid });
    this.object.load();
    this.program = this.object.program(`on_${name}`);
  }

  /** How often the program ran while `action` did. */
  during(action: () => unknown): number {
    using hits = this.object.map('hits');
    const count = (): number => Buffer.from(hits.get(u32(keys[this.name]))!).readUIntLE(0, 6);
    const before = count();
    action();
    return count() - before;
  }

  [Symbol.dispose](): void {
    this.program.close();
    this.object.close();
  }
}

t.test('attachments', { skip: skipUnlessRoot }, async (t) => {
  const image = compile('attach');
  const everySyscall = { category: 'raw_syscalls', name: 'sys_enter' };
  const stat = (): unknown => statSync(tmpdir());

  t.test('XDP', async (t) => {
    using netns = new TestNetns('xdp');
    using bpffs = new TestBpffs();
    using it = new Loaded(image, 'xdp');
    netns.ip('addr', 'add', '192.0.2.1/24', 'dev', 'p0');
    netns.ip('neigh', 'add', '192.0.2.9', 'lladdr', '02:00:00:00:00:09', 'dev', 'p0');
    const ping = (): unknown => netns.inside(() => quietly('ping', '-c3', '-i0.01', '-W0.1', '192.0.2.9'));
    const attach = (): Link => netns.inside(() => attachXdp(it.program, { ifindex: netns.ifindex('d0') }));
    {
      using link = attach();
      t.equal(link.info?.type, LinkType.XDP);
      t.equal(link.info?.progId, it.program.id);
      t.ok(it.during(ping) >= 3);
      t.throws(attach, { code: 'BPF_SYSCALL', errnoName: 'EBUSY', operation: /attach on_xdp to device \d+ \(XDP\)/ });
    }
    t.equal(it.during(ping), 0, 'close() ends it');

    const pin = bpffs.file('xdp');
    {
      using link = attach();
      link.pin(pin);
      t.throws(() => link.pin(pin), { code: 'BPF_USAGE' });
    }
    t.ok(it.during(ping) >= 3, 'a pinned one stays');
    const opened = Link.openPinned(pin);
    t.equal(opened.info?.progId, it.program.id);
    opened.detach();
    t.notOk(existsSync(pin));
    t.equal(it.during(ping), 0, 'detach() ends it');
    opened.detach();
    opened.close();
    t.throws(() => opened.pin(pin), { code: 'BPF_USAGE' });
    t.throws(() => attachXdp(it.program, { ifindex: 0x7ffffff0 }), { code: 'BPF_SYSCALL', errnoName: 'EINVAL' });
  });

  t.test('tracepoint', async (t) => {
    using bpffs = new TestBpffs();
    using _tracefs = new TestTracefs();
    using it = new Loaded(image, 'tracepoint');
    const link = attachTracepoint(it.program, everySyscall);
    t.ok(it.during(stat) >= 1);
    link.close();
    link.close();
    t.equal(it.during(stat), 0, 'close() ends it');

    const pin = bpffs.file('tracepoint');
    const pinned = attachTracepoint(it.program, everySyscall);
    const why = orUnsupported(() => pinned.pin(pin));
    pinned.close();
    if (typeof why === 'string') {
      t.notOk(kernelIsAtLeast('5.15'), 'only an older kernel may say so');
      t.pass('can be pinned', { skip: why });
    } else {
      t.ok(it.during(stat) >= 1, 'a pinned one stays');
      Link.openPinned(pin).detach();
      t.notOk(existsSync(pin));
    }

    const none = { category: 'sched', name: 'no_such_thing' };
    t.throws(() => attachTracepoint(it.program, none), {
      code: 'BPF_SYSCALL',
      errnoName: 'ENOENT',
      message: /to tracepoint sched:no_such_thing: ENOENT/,
    });
  });

  for (const name of ['kprobe', 'kretprobe'] as const) {
    t.test(name, async (t) => {
      using it = new Loaded(image, name);
      const target = { function: 'vfs_statx', onReturn: name === 'kretprobe' };
      const link = orUnsupported(() => attachKprobe(it.program, target));
      if (typeof link === 'string') {
        t.notOk(existsSync('/sys/kernel/tracing/kprobe_events'), 'it says so because there are none');
        return void t.pass('attaches', { skip: link });
      }
      t.ok(it.during(stat) >= 1);
      link.close();
      t.equal(it.during(stat), 0, 'close() ends it');
      t.throws(() => attachKprobe(it.program, { function: 'no_such_function' }), { code: 'BPF_SYSCALL' });
    });
  }

  for (const name of ['fentry', 'fexit', 'tp_btf'] as const) {
    t.test(name, async (t) => {
      const loaded = orUnsupported(() => new Loaded(image, name));
      if (typeof loaded === 'string') return void t.pass('loads', { skip: loaded });
      using it = loaded;
      using bpffs = new TestBpffs();
      const run = name === 'tp_btf' ? stat : () => it.program.testRun();
      t.equal(it.during(run), 0, 'not attached yet');
      const link = attachTrace(it.program);
      t.equal(link.info?.type, name === 'tp_btf' ? LinkType.RAW_TRACEPOINT : LinkType.TRACING);
      t.ok(it.during(run) >= 1);
      link.pin(bpffs.file(name));
      link.close();
      t.ok(it.during(run) >= 1, 'a pinned one stays');
      Link.openPinned(bpffs.file(name)).detach();
      // Linux 5.10 lets go of a removed pin a little later.
      for (const end = Date.now() + 10_000; it.during(run) > 0 && Date.now() < end;) await sleep(20);
      t.equal(it.during(run), 0, 'detach() ends it');
    });
  }

  t.test('cgroup', async (t) => {
    using netns = new TestNetns('cgroup');
    using cgroup = new TestCgroup();
    using it = new Loaded(image, 'cgroup');
    netns.ip('link', 'set', 'lo', 'up');
    const ping = 'ping -c2 -i0.01 127.0.0.1';
    const inside = (): void => netns.inside(() => cgroup.run(ping));
    const link = attachCgroup(it.program, { path: cgroup.path });
    t.equal(link.info?.type, LinkType.CGROUP);
    t.ok(it.during(inside) >= 2);
    t.equal(
      it.during(() => netns.inside(() => quietly('sh', '-c', ping))),
      0,
      'others are not seen',
    );
    link.detach();
    t.equal(it.during(inside), 0);
    t.throws(() => attachCgroup(it.program, { path: tmpdir() }), { code: 'BPF_SYSCALL', errnoName: 'EBADF' });
    t.throws(() => attachCgroup(it.program, { path: '/nonexistent' }), {
      code: 'BPF_SYSCALL',
      errnoName: 'ENOENT',
      operation: 'open /nonexistent',
    });
  });

  t.test('what cannot be attached or opened', async (t) => {
    using bpffs = new TestBpffs();
    using it = new Loaded(image, 'xdp');
    using hits = it.object.map('hits');
    hits.pin(bpffs.file('map'));
    t.throws(() => Link.openPinned(bpffs.file('map')), { code: 'BPF_USAGE', message: /not a link/ });
    rmSync(bpffs.file('map'));
    t.throws(() => Link.openPinned(bpffs.file('none')), { code: 'BPF_SYSCALL', errnoName: 'ENOENT' });
    {
      using netns = new TestNetns('xdp-copy');
      using copy = BpfProgram.fromFd(it.program.fd, 'copy');
      it.object.close();
      using link = netns.inside(() => attachXdp(copy, { ifindex: netns.ifindex('d0') }));
      t.equal(link.info?.progId, it.program.id, 'XDP needs no object');
    }
    using cgroup = new TestCgroup();
    using other = new Loaded(image, 'cgroup');
    using link = attachCgroup(other.program, { path: cgroup.path });
    t.throws(() => link.pin('/tmp/libbpf-ts-no-bpffs'), { code: 'BPFFS_MISSING' });
    using copy = BpfProgram.fromFd(other.program.fd, 'copy');
    t.throws(() => attachCgroup(copy, { path: cgroup.path }), { code: 'BPF_USAGE', message: /BpfObject/ });
    other.object.close();
    t.throws(() => attachCgroup(other.program, { path: cgroup.path }), { code: 'BPF_USAGE', message: /is closed/ });
  });
});

/** The result, or the message of the error that says that this kernel cannot. */
function orUnsupported<T>(action: () => T): T | string {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof NotSupportedError)) throw error;
    return error.message;
  }
}

/** For commands that may fail. */
function quietly(command: string, ...args: string[]): void {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
  } catch {
    // No answer is expected.
  }
}
