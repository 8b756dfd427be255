// SPDX-License-Identifier: MIT
/** The kernel's own shortcut on a veth: bpf_redirect(BPF_F_INGRESS) on its egress. No user space sees a frame. */
import { ok } from '../../helpers/netns';
import { freshNetns, hairpin, settleNeighbour } from '../namespace';
import { toolFile } from '../tool';
import type { Stage, System } from './system';

const IFACE = 'veth0';

export const redirect: System = {
  name: 'redirect',
  open: async (): Promise<Stage> => {
    const { netns, remove } = freshNetns();
    ok('ip', ['-n', netns, 'link', 'add', IFACE, 'type', 'veth', 'peer', 'name', 'peer0']);
    ok('ip', ['-n', netns, 'link', 'set', 'peer0', 'up']);
    ok('tc', ['-n', netns, 'qdisc', 'add', 'dev', IFACE, 'clsact']);
    ok('tc', [
      '-n',
      netns,
      'filter',
      'add',
      'dev',
      IFACE,
      'egress',
      'bpf',
      'da',
      'obj',
      toolFile('redirect.bpf.o'),
      'sec',
      'tc',
    ]);
    hairpin(netns, IFACE);
    settleNeighbour(netns, IFACE);
    return { netns, iface: IFACE, pid: null, close: async () => remove() };
  },
};
