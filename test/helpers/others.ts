// SPDX-License-Identifier: MIT
/** A BPF program of somebody else on an interface's egress: it counts what passes and lets it go on. */
import { attachTc, BpfObject, type BpfMap, type BpfProgram } from 'libbpf-ts';
import type { Test } from 'tap';

import { linkByName } from '../../src/link/links';
import { Netns } from '../../src/link/netns';
import { TestBpffs } from '../../src/libbpf-ts/test/helpers/bpffs';
import { compile } from '../../src/libbpf-ts/test/helpers/compile';
import { ok } from './netns';

/** The kernel gives a filter without a priority, as ours is, one of 49152 or below. */
const PRIORITY = { before: '1', behind: '60000' } as const;

export class OtherProgram {
  private constructor(private readonly words: BpfMap) {}

  /** Through tcx, behind those that are there; detached when the test ends. */
  static tcx(t: Test, netns: string, iface: string): OtherProgram {
    const { program, other } = OtherProgram.load(t);
    using there = Netns.named(netns);
    const link = there.run(() => attachTc(program, { ifindex: linkByName(iface)?.ifindex ?? 0, direction: 'egress' }));
    t.teardown(() => link.close());
    if (link.kind !== 'tcx') throw new Error(`attached through ${link.kind}`);
    return other;
  }

  /** As a filter of the clsact qdisc, with tc(8), as others do it; it goes with the interface. */
  static filter(t: Test, netns: string, iface: string, where: keyof typeof PRIORITY): OtherProgram {
    const { program, other } = OtherProgram.load(t);
    // `tc -n` hides /sys/fs/bpf behind a new /sys.
    using bpffs = new TestBpffs();
    program.pin(bpffs.file('other'));
    // prettier-ignore
    ok('tc', ['-n', netns, 'filter', 'add', 'dev', iface, 'egress', 'prio', PRIORITY[where], 'bpf', 'direct-action', 'object-pinned', bpffs.file('other')]);
    return other;
  }

  private static load(t: Test): { program: BpfProgram; other: OtherProgram } {
    const object = BpfObject.open(compile('basic'));
    object.load();
    const [program, words] = [object.program('count'), object.map('shared')];
    t.teardown(() => [words, program, object].forEach((handle) => handle.close()));
    return { program, other: new OtherProgram(words) };
  }

  /** Frames that it has seen. */
  seen(): number {
    return Buffer.from(this.words.get(new Uint8Array(4)) ?? []).readUIntLE(0, 6);
  }
}
