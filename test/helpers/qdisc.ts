// SPDX-License-Identifier: MIT
/** Queueing disciplines in tests: a kernel may lack some. */
import { run } from './netns';

/** The reason to skip a test of `qdisc` if the kernel says that it has none; false if the test can run. */
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
