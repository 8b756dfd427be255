// SPDX-License-Identifier: MIT
/** A record of an attachment, as attach writes it. */
import { DEFAULTS, runningOptionsOf } from '../../src/options/attach-options';
import { STATE_VERSION, type Attachment } from '../../src/state/store';

export const RECORD: Attachment = {
  version: STATE_VERSION,
  id: '0123abcd',
  phase: 'running',
  iface: 'vnet0',
  ifindex: 2,
  taken: { wasUp: true, addresses: ['10.0.0.1'], sysctls: { accept_local: '0', rp_filter: '2' }, group: 0 },
  added: ['10.77.0.1', 'fd77::1'],
  netns: { name: 'lab', inode: 4026532281, cookie: '4097', boot: '01234567-89ab-cdef-0123-456789abcdef' },
  backend: 'veth',
  peer: { name: 'vp0123abcd', ifindex: 2 },
  reinjectMark: 0,
  rooms: [{ entry: { name: 'vr0123abcdq0', ifindex: 1048576 }, exit: { name: 'vx0123abcdq0', ifindex: 1048577 } }],
  attach: 'tcx',
  links: {
    tx: {
      kind: 'tcx',
      ifindex: 2,
      direction: 'egress',
      progId: 71,
      linkId: 9,
      pinPath: '/sys/fs/bpf/vnet-bpf/0123abcd/tx',
    },
    sink: { kind: 'clsact', ifindex: 2, direction: 'ingress', progId: 72, handle: 1, priority: 2, createdQdisc: true },
    resegment: null,
    release: [{ kind: 'tcx', ifindex: 1048577, direction: 'egress', progId: 74, linkId: 12 }],
  },
  pid: 4711,
  startedAt: '2026-01-02T03:04:05.678Z',
  ...runningOptionsOf(DEFAULTS),
  superpacketBytes: 262144,
  lowWatermarkBytes: 4 << 20,
  lowWatermarkPackets: 0,
  whenFull: 'hold',
  hook: '/etc/vnet-bpf/h.ts',
  onHookError: 'drop',
  hookDown: null,
  faults: null,
  baseline: { peerTxPackets: 0 },
  hairpin: { addresses: [{ family: 4, address: '10.77.0.1' }], table: 1447952386 },
  impairment: { words: ['delay', '20ms'], enobufs: 0, drops: 0, lost: 3, backlog: 0 },
  lostByChange: { down: 2, toolong: 1 },
  metrics: 'http://127.0.0.1:9100/metrics',
};
