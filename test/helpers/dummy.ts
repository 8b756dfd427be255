// SPDX-License-Identifier: MIT
/** The dummy back end in tests: not every kernel has dummy interfaces. */
import { run } from './netns';

/** Why it cannot be tested here, or false: only where the kernel itself says that it has none. */
export function withoutDummy(): string | false {
  if (process.geteuid?.() !== 0) return 'needs root';
  const { status, stderr } = run('unshare', ['--net', '--', 'ip', 'link', 'add', 'probe', 'type', 'dummy']);
  if (status === 0) return false;
  if (/not supported|Unknown device/i.test(stderr)) return 'this kernel has no dummy interfaces';
  throw new Error(`dummy interfaces: ${stderr}`);
}
