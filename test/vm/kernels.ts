// SPDX-License-Identifier: MIT
// The kernel matrix: which Debian kernels the tests run on, and what may be skipped on each, with the reason.

/** A skip that is expected on a kernel. Anything skipped there without an entry fails the run. */
export interface ExpectedSkip {
  /** Matched against the reason that the test gives: the message of the typed "unsupported" error. */
  readonly because: RegExp;
  /** Why it cannot work there: printed in the report. */
  readonly why: string;
}

export interface Kernel {
  /** Name on the command line and in the report. */
  readonly name: string;
  /** Debian suites that may carry it; the newest matching package of all of them is taken. */
  readonly suites: readonly string[];
  /** Matches the name of the linux-image package; what it depends on (linux-binary, -modules) is found from it. */
  readonly image: RegExp;
  /** What is known to be different here, for readers of a failing run. */
  readonly notes: string;
  readonly skips: readonly ExpectedSkip[];
}

const noTcx: ExpectedSkip = { because: /TCX .*requires Linux 6\.6/, why: 'tcx came with Linux 6.6' };
const noPin: ExpectedSkip = {
  because: /pinning this attachment .*requires Linux 5\.15/,
  why: 'links of tracepoints came with Linux 5.15',
};
const tooOld: ExpectedSkip = {
  because: /pointers to global BPF functions came with Linux 5\.13/,
  why: 'the loop needs global BPF functions that take pointers, which came with Linux 5.13',
};

const noMap: ExpectedSkip = {
  because: /^this kind of map requires Linux \d/,
  why: 'bloom filters came with Linux 5.16, user ring buffers with 6.1, arenas with 6.9',
};
const noBpfLsm: ExpectedSkip = {
  because: /^bpf is not among the security modules of this machine$/,
  why: "Debian's kernels ask BPF programs from Linux 6.1 on",
};
const noNetkit: ExpectedSkip = { because: /^there are no netkit devices$/, why: 'the image has no module for them' };

export const kernels: readonly Kernel[] = [
  {
    name: '5.10',
    suites: ['bullseye-security'],
    image: /^linux-image-5\.10\.0-\d+-cloud-amd64$/,
    notes: 'only the binding, libbpf-ts; the loop says that it needs Linux 5.13',
    skips: [tooOld, noTcx, noPin, noMap, noBpfLsm],
  },
  {
    name: '6.1',
    suites: ['bookworm', 'bookworm-security'],
    image: /^linux-image-6\.1\.0-\d+-cloud-amd64$/,
    notes: 'clsact instead of tcx, UDP superpackets cut up; the verifier takes no lower bound from len != 0',
    skips: [noTcx, noMap],
  },
  {
    name: '6.12',
    suites: ['bookworm-security'],
    image: /^linux-image-6\.12\.\d+\+deb12-cloud-amd64$/,
    notes: 'everything',
    skips: [noNetkit],
  },
  {
    name: '6.18',
    suites: ['trixie-backports'],
    image: /^linux-image-6\.18\.\d+\+deb13-cloud-amd64$/,
    notes: 'everything',
    skips: [noNetkit],
  },
  {
    name: 'newest',
    suites: ['trixie-backports'],
    image: /^linux-image-\d+\.\d+\.\d+\+deb13-cloud-amd64$/,
    notes: 'everything; 7.3 when this was written',
    skips: [noNetkit],
  },
];

/**
 * Modules put into the guest and loaded at its start, with what they depend on. A kernel that has one built in,
 * or does not have it at all, boots without: the tests decide what they need.
 */
export const modules: readonly string[] = [
  // Links.
  'veth',
  'dummy',
  'netkit',
  'tun',
  'bridge',
  '8021q',
  'macvlan',
  // Queueing: clsact hooks, the waiting room, impairments.
  'ifb',
  'sch_ingress',
  'cls_bpf',
  'cls_matchall',
  'cls_u32',
  'act_bpf',
  'act_gact',
  'act_mirred',
  'act_pedit',
  'act_skbedit',
  'act_vlan',
  'sch_tbf',
  'sch_fq',
  'sch_fq_codel',
  'sch_netem',
  'sch_plug',
  'sch_prio',
  'sch_htb',
  'sch_multiq',
  'sch_mqprio',
  // Sockets and protocols of the traffic tests.
  'af_packet',
  'af_packet_diag',
  'ipv6',
  'sctp',
  'tcp_diag',
  'udp_diag',
  'inet_diag',
];
