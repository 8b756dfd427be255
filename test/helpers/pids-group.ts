// SPDX-License-Identifier: MIT
/** A control group in which the number of processes and threads is counted and can be limited. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import type { Test } from 'tap';

import { run } from './netns';

const UNIFIED = '/sys/fs/cgroup';

/** A directory in which such groups can be made; null if there is none. */
function hierarchy(t: Test): string | null {
  const control = path.join(UNIFIED, 'cgroup.subtree_control');
  if (fs.existsSync(control) && /\bpids\b/.test(fs.readFileSync(control, 'utf8'))) return UNIFIED;
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-bpf-pids-'));
  t.teardown(() => run('sh', ['-c', 'umount "$1"; rmdir "$1"', 'sh', directory]));
  return run('mount', ['-t', 'cgroup', '-o', 'pids', 'none', directory]).status === 0 ? directory : null;
}

/** Makes a group, which goes when the test ends, with all processes in it; null if none can be made here. */
export function pidsGroup(t: Test): string | null {
  const parent = hierarchy(t);
  if (parent === null) return null;
  const group = path.join(parent, `vnet-bpf-test-${randomBytes(4).toString('hex')}`);
  if (run('mkdir', [group]).status !== 0) return null;
  t.teardown(() => {
    for (const pid of fs.readFileSync(path.join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean))
      run('kill', ['-KILL', pid]);
    // It can be removed once the last of them has been reaped.
    run('sh', [
      '-c',
      'for again in 1 2 3 4 5 6 7 8 9 10; do rmdir "$1" && exit; sleep 0.1; done 2>/dev/null',
      'sh',
      group,
    ]);
  });
  return group;
}

/** A command line that runs another one in a group. */
export const inGroup = (group: string): string[] => ['sh', '-c', `echo $$ >'${group}/cgroup.procs'; exec "$@"`, 'sh'];
