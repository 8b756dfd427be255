// SPDX-License-Identifier: MIT
/** The dummy back end in tests: a kernel may lack dummy interfaces. */
import { run } from './netns';

/** The reason to skip a test of dummies if the kernel says that it has none; false if the test can run. */
export function withoutDummy(): string | false {
  if (process.geteuid?.() !== 0) return 'needs root';
  const { status, stderr } = run('unshare', ['--net', '--', 'ip', 'link', 'add', 'probe', 'type', 'dummy']);
  if (status === 0) return false;
  if (/not supported|Unknown device/i.test(stderr)) return 'this kernel has no dummy interfaces';
  throw new Error(`dummy interfaces: ${stderr}`);
}
