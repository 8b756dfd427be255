// SPDX-License-Identifier: MIT
/**
 * Checks that an installed vnet-bpf and libbpf-ts work where there are neither sources nor a compiler, with the
 * commands that a user would type.
 */
import * as path from 'node:path';

import type { Test } from 'tap';

import { ROOT } from './cli';
import { PrivateMachine } from './private-machine';
import { HIDE_SOURCE } from './tarball';

export interface Installed {
  /** The command. */
  bin: string;
  /** The installed package. */
  root: string;
  /** The command of libbpf-ts, if it was also installed by itself. */
  libbpf?: string;
}

export async function installedWorks(t: Test, { bin, root, libbpf }: Installed): Promise<void> {
  const machine = await PrivateMachine.start(t);
  machine.shell(HIDE_SOURCE);
  for (const tool of ['clang', 'make', 'cc'])
    t.not(machine.run('sh', ['-c', `${tool} --version`]).status, 0, `no ${tool}`);
  t.equal(machine.shell(`ls -A '${ROOT}'`), '', 'no sources');
  const succeeds = (program: string, ...args: string[]): string => {
    const { status, stdout, stderr } = machine.run(program, args);
    t.same({ status, stderr }, { status: 0, stderr: '' }, `${path.basename(program)} ${args.join(' ')}`);
    return stdout;
  };
  machine.shell('ip netns add lab');
  succeeds(bin, 'attach', 'vnet0', '--netns', 'lab', '--addr', '10.77.0.1/24', '--daemon');
  t.match(machine.shell('ip netns exec lab ping -c 4 -i 0.1 -W 5 10.77.0.1'), '4 received');
  t.match(succeeds(bin, 'stats', 'vnet0', '--netns', 'lab', '--check'), 'balanced');
  succeeds(bin, 'detach', 'vnet0', '--netns', 'lab');
  t.same(machine.residue(), ['/run/netns'], 'nothing is left but the directory of ip netns');
  // The command opens an object with libbpf and reads its types.
  if (libbpf !== undefined)
    t.match(succeeds(libbpf, 'types', path.join(root, 'dist', 'bpf', 'vnet.bpf.o')), 'export interface');
}
