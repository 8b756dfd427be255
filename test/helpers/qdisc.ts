// SPDX-License-Identifier: MIT
/** Queueing disciplines in tests: not every kernel has each. */
import { run } from './netns';

/** Why it cannot be tested here, or false: only where the kernel itself says that it has no such qdisc. */
export function withoutQdisc(qdisc: string): string | false {
  const { status, stderr } = run('unshare', [
    '--net',
    '--',
    'tc',
    'qdisc',
    'add',
    'dev',
    'lo',
    'root',
    ...qdisc.split(' '),
  ]);
  if (status === 0) return false;
  if (/qdisc kind is unknown|qdisc not found/i.test(stderr)) return `this kernel has no ${qdisc.split(' ')[0]}`;
  throw new Error(`qdisc ${qdisc}: ${stderr}`);
}
