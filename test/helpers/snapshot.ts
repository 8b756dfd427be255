// SPDX-License-Identifier: MIT
/**
 * Everything on a machine that vnet-bpf could change, as lines of text under headings. A test takes a snapshot before
 * it begins and asserts afterwards that nothing differs; the differences are the message. Attachments that other runs
 * make on the same machine meanwhile are left out.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import type { Test } from 'tap';

import { bpfObjects } from './bpf-objects';
import { SLOW } from './cli';
import { controllers, foreignAttachments } from './neighbours';
import { inside, run } from './netns';

export type Snapshot = ReadonlyMap<string, readonly string[]>;

const MARK = '@@';
/** Heading and command, run inside a namespace; all in one shell. */
const QUESTIONS: readonly [string, string][] = [
  ['interfaces', 'ip -o -d link'],
  ['addresses', 'ip -o addr'],
  ['ip rule', 'ip -4 rule'],
  ['ip -6 rule', 'ip -6 rule'],
  ['routes', 'ip -4 route show table all'],
  ['IPv6 routes', 'ip -6 route show table all'],
  ['tc', 'tc qdisc show'],
  // /proc/sys/net shows the namespace of the process that looks.
  ['sysctls', 'grep -rs "" /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf'],
];

/** Lifetimes of addresses and routes count down by themselves. */
const steady = (line: string): string => line.replace(/(valid_lft|preferred_lft|expires) \d+sec/g, '$1').trim();

function ofNamespace(name: string | null): [string, string[]][] {
  const script = QUESTIONS.map(([, question]) => question).join(` 2>/dev/null; echo ${MARK}; `);
  const command = ['sh', '-c', script];
  const [program, ...args] = (name === null ? command : [...inside(name), ...command]) as [string, ...string[]];
  const sections = run(program, args).stdout.split(`${MARK}\n`);
  return QUESTIONS.map(([heading], i) => [
    `${name ?? 'default namespace'}: ${heading}`,
    (sections[i] ?? '').split('\n').filter(Boolean).map(steady),
  ]);
}

function files(directory: string): string[] {
  try {
    return fs
      .readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .map((name) => path.join(directory, name))
      .sort();
  } catch {
    return [];
  }
}

/**
 * The kernel creates these itself when a bpffs is mounted for the first time (populate_bpffs in kernel/bpf/inode.c).
 */
const OF_THE_KERNEL = /^.sys.fs.bpf.(maps|progs).debug$/;

const BPF = 'BPF objects';
/** Other runs may have some that cannot be distinguished from ours yet, because their attach has only begun. */
const SHARED_HEADINGS = [BPF, 'state files', 'pins'];
/** The peer namespace, the lock and the directory of pins, which belong to all attachments of the machine. */
const SHARED = /^.run.vnet-bpf.(lock|netns)$|^.sys.fs.bpf.vnet-bpf$/;

/** Every namespace of which a snapshot was taken: what a removed one leaves is still ours. */
const known = new Set<string>();

/** The machine, its default network namespace and the named ones given, without what belongs to others. */
export function snapshot(...namespaces: string[]): Snapshot {
  for (const name of namespaces) known.add(name);
  const begun = foreignAttachments(known);
  const [state, pins] = [files('/run/vnet-bpf'), files('/sys/fs/bpf').filter((file) => !OF_THE_KERNEL.test(file))];
  const processes = controllers(known);
  // Listed before and after, because an attachment may have come or gone while the files were listed.
  const foreign = [...begun, ...foreignAttachments(known)];
  const alone = foreign.length === 0 && !processes.some((process) => process.foreign);
  const ours = (name: string): boolean => !SHARED.test(name) && !foreign.some((id) => name.includes(id));
  const mounts = fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
  const entries: [string, string[]][] = [
    ...[null, ...namespaces].flatMap(ofNamespace),
    [
      'mounts',
      mounts
        .filter((mount) => !mount.startsWith('/run/netns'))
        .filter(ours)
        .sort(),
    ],
    ['state files', state.filter(ours)],
    ['pins', pins.filter(ours)],
    [
      'controllers',
      processes.filter((process) => !process.foreign).map(({ pid, args }) => `${pid} ${args.join(' ').trim()}`),
    ],
  ];
  // Nothing shows whose BPF objects are, so they are compared only while no other run has any.
  if (alone)
    entries.push(
      [BPF, bpfObjects()],
      ['shared state', [...mounts, ...state, ...pins].filter((name) => SHARED.test(name))],
    );
  return new Map(entries);
}

/** The differences, one per line with - or + in front, under their headings; empty if there are none. */
export function difference(before: Snapshot, after: Snapshot): string {
  const parts: string[] = [];
  for (const [heading, old] of before) {
    const now = after.get(heading);
    if (!now) continue; // could not be looked at
    const lines = [
      // Objects that belonged to other runs and have been freed meanwhile do not matter.
      ...(SHARED_HEADINGS.includes(heading)
        ? []
        : old.filter((line) => !now.includes(line)).map((line) => `  - ${line}`)),
      ...now.filter((line) => !old.includes(line)).map((line) => `  + ${line}`),
    ];
    if (lines.length === 0 && !SHARED_HEADINGS.includes(heading) && old.join() !== now.join()) {
      lines.push('  in another order:', ...now.map((line) => `    ${line}`));
    }
    if (lines.length > 0) parts.push(`${heading}:`, ...lines);
  }
  return parts.join('\n');
}

/**
 * BPF objects are freed a little after their last user has released them (RCU). Nothing shows whose a map is that a
 * process of another run has only mapped, such as a recorder whose controller has ended: it is gone some seconds later.
 */
const SETTLE_MS = 10_000;

/**
 * Fails unless everything is as it was before, after waiting for objects that the kernel frees later. Leftovers stay: a
 * line that is not in every look belongs to other runs, which create and remove such things all the time.
 */
export async function sameAs(t: Test, before: Snapshot, message: string, ...namespaces: string[]): Promise<void> {
  const end = Date.now() + SETTLE_MS * SLOW;
  for (let left: string[] | undefined; ;) {
    const differs = difference(before, snapshot(...namespaces)).split('\n');
    left = left?.filter((line) => differs.includes(line)) ?? differs;
    const none = !left.some((line) => line.startsWith(' '));
    if (none || Date.now() > end) return void t.equal(none ? '' : left.join('\n'), '', message);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
