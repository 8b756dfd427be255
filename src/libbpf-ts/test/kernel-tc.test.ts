// SPDX-License-Identifier: MIT
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

import t from 'tap';

import { attachTc, BpfObject, type BpfProgram, openTcLink, restoreTcLink, type TcLink } from '../src/index';
import { compile, skipUnlessRoot, skipUnlessSupported, TestBpffs, TestNetns, u32 } from './helpers/machine';

t.test('TC links', { skip: skipUnlessRoot }, async (t) => {
  const object = BpfObject.open(compile('basic'));
  object.load();
  const program = object.program('count');
  const other = object.program('constants');
  const words = object.map('shared');
  t.teardown(() => [object, program, other, words].forEach((handle) => handle.close()));
  const seen = (): number => Buffer.from(words.get(u32(0))!).readUIntLE(0, 6);
  const noTcx = skipUnlessSupported('tcx');

  /** Packets that the program sees while one broadcast ping is sent through d0. */
  const traffic = (netns: TestNetns): number => {
    const before = seen();
    // A neighbour of its own makes the ping go out at once; no host answers it.
    netns.ip('addr', 'replace', '192.0.2.1/24', 'dev', 'd0');
    netns.ip('neigh', 'replace', '192.0.2.9', 'lladdr', '02:00:00:00:00:09', 'dev', 'd0');
    netns.inside(() => {
      try {
        execFileSync('ping', ['-c1', '-W0.1', '192.0.2.9'], { stdio: 'ignore' });
      } catch {
        // No answer is expected.
      }
    });
    return seen() - before;
  };
  const attach = (netns: TestNetns, prefer: 'tcx' | 'clsact', what: BpfProgram = program): TcLink => {
    const target = { ifindex: netns.ifindex('d0'), direction: 'egress', prefer } as const;
    return netns.inside(() => attachTc(what, target));
  };

  for (const kind of ['tcx', 'clsact'] as const) {
    t.test(kind, { skip: kind === 'tcx' && noTcx }, async (t) => {
      t.test('attaches, sees packets, detaches', async (t) => {
        using netns = new TestNetns(kind);
        const ifindex = netns.ifindex('d0');
        using link = attach(netns, kind);
        t.equal(link.kind, kind);
        t.same(link.target, { ifindex, direction: 'egress' });
        t.equal(link.progId, program.id);
        t.equal(link.id !== undefined, kind === 'tcx');
        t.ok(traffic(netns) > 0);
        netns.inside(() => link.detach());
        t.equal(traffic(netns), 0);
        netns.inside(() => link.detach());
        link.close();
        t.notMatch(netns.tc('qdisc', 'show', 'dev', 'd0'), /clsact/);
      });

      t.test('close() ends an attachment that is not pinned', async (t) => {
        using netns = new TestNetns(kind);
        const link = attach(netns, kind);
        t.ok(traffic(netns) > 0);
        netns.inside(() => link.close());
        t.equal(traffic(netns), 0);
      });

      t.test('pinned, restored from JSON in its absence, detached', async (t) => {
        using netns = new TestNetns(kind);
        using bpffs = new TestBpffs();
        const path = bpffs.file('link');
        const link = attach(netns, kind);
        link.pin(path);
        t.throws(() => link.pin(bpffs.file('again')), { code: 'BPF_USAGE' });
        const json = JSON.stringify(link);
        link.close();
        t.ok(traffic(netns) > 0, 'close() leaves a pinned one');
        const restored = netns.inside(() => restoreTcLink(JSON.parse(json)));
        t.same(JSON.parse(JSON.stringify(restored)), JSON.parse(json));
        netns.inside(() => restored.detach());
        t.equal(existsSync(path), false);
        t.equal(traffic(netns), 0);
      });

      t.test("others' programs stay", async (t) => {
        using netns = new TestNetns(kind);
        const first = attach(netns, kind, other);
        const second = attach(netns, kind);
        netns.inside(() => first.detach());
        t.ok(traffic(netns) > 0, 'the second one is still attached');
        netns.inside(() => second.detach());
        t.equal(traffic(netns), 0);
      });

      t.test('the device may go first', async () => {
        using netns = new TestNetns(kind);
        const link = attach(netns, kind);
        netns.ip('link', 'del', 'd0');
        netns.inside(() => link.detach());
        netns.inside(() => link.close());
      });

      t.test('no such device', async (t) => {
        using netns = new TestNetns(kind);
        const target = { ifindex: 123456, direction: 'ingress', prefer: kind } as const;
        t.throws(() => netns.inside(() => attachTc(program, target)), { errnoName: 'ENODEV', code: 'BPF_SYSCALL' });
      });
    });
  }

  t.test('without a preference: tcx where the kernel has it, clsact elsewhere', async (t) => {
    using netns = new TestNetns('default');
    const target = { ifindex: netns.ifindex('d0'), direction: 'egress' } as const;
    const link = netns.inside(() => attachTc(program, target));
    t.equal(link.kind, noTcx ? 'clsact' : 'tcx');
    t.ok(traffic(netns) > 0);
    netns.inside(() => link.detach());
    const nowhere = { ifindex: 123456, direction: 'egress' } as const;
    t.throws(() => netns.inside(() => attachTc(program, nowhere)), { code: 'BPF_SYSCALL', errnoName: 'ENODEV' });
  });

  t.test('tcx: a pin opens as a link', { skip: noTcx }, async (t) => {
    using netns = new TestNetns('open');
    using bpffs = new TestBpffs();
    const path = bpffs.file('link');
    const link = attach(netns, 'tcx');
    t.throws(() => restoreTcLink(link.toJSON()), { code: 'BPF_USAGE' });
    link.pin(path);
    link.close();
    using opened = openTcLink(path);
    t.equal(opened.id, link.id);
    t.equal(opened.pinPath, path);
    t.equal(opened.progId, program.id);
    // A link needs no namespace to be detached.
    opened.detach();
    t.equal(traffic(netns), 0);
    t.throws(() => openTcLink(path), { code: 'BPF_SYSCALL', errnoName: 'ENOENT' });
    program.pin(bpffs.file('program'));
    t.throws(() => openTcLink(bpffs.file('program')), 'a program is no link');
  });

  t.test('clsact: a qdisc that was there stays', async (t) => {
    using netns = new TestNetns('qdisc');
    netns.tc('qdisc', 'add', 'dev', 'd0', 'clsact');
    const link = attach(netns, 'clsact');
    t.match(link.toJSON(), { kind: 'clsact', createdQdisc: false, progId: program.id });
    netns.inside(() => link.detach());
    t.match(netns.tc('qdisc', 'show', 'dev', 'd0'), /clsact/);
  });

  t.test('clsact: a qdisc that others use by now stays', async (t) => {
    using netns = new TestNetns('shared');
    using bpffs = new TestBpffs();
    const link = attach(netns, 'clsact');
    t.match(link.toJSON(), { createdQdisc: true });
    const pin = bpffs.file('theirs');
    other.pin(pin);
    netns.tc('filter', 'add', 'dev', 'd0', 'ingress', 'bpf', 'direct-action', 'object-pinned', pin);
    netns.inside(() => link.detach());
    t.match(netns.tc('qdisc', 'show', 'dev', 'd0'), /clsact/);
    t.match(netns.tc('filter', 'show', 'dev', 'd0', 'ingress'), /bpf/);
    t.notMatch(netns.tc('filter', 'show', 'dev', 'd0', 'egress'), /bpf/);
  });

  t.test('clsact: the last of several links removes the qdisc that the first one created', async (t) => {
    using netns = new TestNetns('several');
    const egress = attach(netns, 'clsact');
    const target = { ifindex: netns.ifindex('d0'), direction: 'ingress', prefer: 'clsact' } as const;
    const ingress = netns.inside(() => attachTc(program, target));
    netns.inside(() => egress.detach());
    t.match(netns.tc('qdisc', 'show', 'dev', 'd0'), /clsact/);
    netns.inside(() => ingress.detach());
    t.notMatch(netns.tc('qdisc', 'show', 'dev', 'd0'), /clsact/);
  });

  t.test("clsact: another's filter in the same place stays", async (t) => {
    using netns = new TestNetns('replaced');
    const link = attach(netns, 'clsact');
    const state = link.toJSON();
    netns.tc('qdisc', 'del', 'dev', 'd0', 'clsact');
    const theirs = attach(netns, 'clsact', other);
    t.match(theirs.toJSON(), 'handle' in state ? { handle: state.handle, priority: state.priority } : {});
    netns.inside(() => link.detach());
    t.match(netns.tc('filter', 'show', 'dev', 'd0', 'egress'), /constants/);
    netns.inside(() => theirs.detach());
    t.notMatch(netns.tc('qdisc', 'show', 'dev', 'd0'), /clsact/);
  });
});
