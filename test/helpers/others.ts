// SPDX-License-Identifier: MIT
/** Other people's programs (test/bpf/others.bpf.c) and filters on an interface's egress. */
import * as path from 'node:path';

import { attachTc, BpfObject, type BpfMap, type BpfProgram } from 'libbpf-ts';
import type { Test } from 'tap';

import { compile, TestBpffs } from '../../src/libbpf-ts/test/helpers/machine';
import { linkByName } from '../../src/link/links';
import { Netns } from '../../src/link/netns';
import { attachmentOf, ROOT, type Attached } from './cli';
import { ok, run } from './netns';

/** The kernel gives a filter without a priority, as ours is, one of 49152 or below. */
const PRIORITY = { before: '1', behind: '60000' } as const;

/** The programs in it, named by what they do to a frame. */
const NAMES = [
  'counts',
  'accepts',
  'classifies',
  'marks',
  'hashes',
  'unhashes',
  'edits',
  'tags',
  'mirrors',
  'erases',
  'drops',
  'redirects',
] as const;
export type OtherName = (typeof NAMES)[number];

interface OtherChoice {
  program?: OtherName;
  /** The interface to which `mirrors` and `redirects` send. */
  elsewhere?: string;
}

let compiled: string | undefined;

export class OtherProgram {
  private constructor(
    private readonly words: BpfMap,
    /** Detaches it from the interface. */
    readonly detach: () => void,
  ) {}

  /** Attaches it through tcx, after the existing programs; it is detached when the test ends. */
  static tcx(t: Test, netns: string, iface: string, choice: OtherChoice = {}): OtherProgram {
    using there = Netns.named(netns);
    const { program, words } = OtherProgram.load(t, there, choice);
    const link = there.run(() => attachTc(program, { ifindex: linkByName(iface)?.ifindex ?? 0, direction: 'egress' }));
    t.teardown(() => link.close());
    if (link.kind !== 'tcx') throw new Error(`attached through ${link.kind}`);
    return new OtherProgram(words, () => link.close());
  }

  /**
   * Attaches it with tc(8) as a filter of the clsact qdisc, as other software does; it is removed with the interface.
   */
  static filter(
    t: Test,
    netns: string,
    iface: string,
    where: keyof typeof PRIORITY,
    choice: OtherChoice = {},
  ): OtherProgram {
    using there = Netns.named(netns);
    const { program, words } = OtherProgram.load(t, there, choice);
    // `tc -n` hides /sys/fs/bpf behind a new /sys.
    using bpffs = new TestBpffs();
    program.pin(bpffs.file('other'));
    const detach = addFilter(netns, iface, where, ['bpf', 'direct-action', 'object-pinned', bpffs.file('other')]);
    return new OtherProgram(words, detach);
  }

  /** Attaches it after ours, through whichever of tcx and clsact ours is attached through. */
  static behind(t: Test, nic: Attached, choice: OtherChoice): OtherProgram {
    const { netns, iface } = nic;
    return attachmentOf(nic).attach === 'tcx'
      ? OtherProgram.tcx(t, netns, iface, choice)
      : OtherProgram.filter(t, netns, iface, 'behind', choice);
  }

  private static load(
    t: Test,
    there: Netns,
    { program: name = 'counts', elsewhere }: OtherChoice,
  ): { program: BpfProgram; words: BpfMap } {
    compiled ??= compile('others', path.join(ROOT, 'test', 'bpf'));
    const object = BpfObject.open(compiled);
    if (elsewhere !== undefined)
      object.setConstants({ elsewhere: there.run(() => linkByName(elsewhere)?.ifindex ?? 0) });
    for (const other of NAMES) object.setAutoload(other, other === name);
    object.load();
    const [program, words] = [object.program(name), object.map('seen')];
    t.teardown(() => [words, program, object].forEach((handle) => handle.close()));
    return { program, words };
  }

  /** Frames that it has seen. */
  seen(): number {
    return Buffer.from(this.words.get(new Uint8Array(4)) ?? []).readUIntLE(0, 6);
  }
}

/** Adds a filter with tc(8), before or after ours if ours is a filter, too; the returned function removes it. */
export function addFilter(
  netns: string,
  iface: string,
  where: keyof typeof PRIORITY,
  filter: readonly string[],
): () => void {
  const place = ['dev', iface, 'egress', 'prio', PRIORITY[where]];
  ok('tc', ['-n', netns, 'filter', 'add', ...place, ...(filter[0] === 'bpf' ? [] : ['protocol', 'all']), ...filter]);
  return () => void ok('tc', ['-n', netns, 'filter', 'del', ...place]);
}

/** Adds the clsact qdisc that filters need to an interface on which ours is attached through tcx. */
export function addClsact({ netns, iface }: Attached): void {
  if (attachmentOf({ netns, iface }).attach === 'tcx') ok('tc', ['-n', netns, 'qdisc', 'add', 'dev', iface, 'clsact']);
}

/** The reason to skip a test of such a filter if the kernel says that it has none; false if the test can run. */
export function withoutFilter(filter: readonly string[]): string | false {
  const script = 'tc qdisc add dev lo clsact && exec tc filter add dev lo egress protocol all "$@"';
  const { status, stderr } = run('unshare', ['--net', '--', 'sh', '-c', script, 'sh', ...filter]);
  if (status === 0) return false;
  if (/Failed to load TC action module|TC classifier not found|Unknown (filter|action)|No such file/i.test(stderr))
    return `this kernel has no ${filter.join(' ')}`;
  throw new Error(`filter ${filter.join(' ')}: ${stderr}`);
}
