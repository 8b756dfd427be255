// SPDX-License-Identifier: MIT
import { attachLink, type Link, type LinkKind } from './link';
import { libbpf } from './native/libbpf';
import type { BpfProgram } from './program';

export interface XdpTarget {
  /** Index of the device in the calling thread's network namespace. */
  readonly ifindex: number;
}

/**
 * Attaches an XDP program to a network device: in the driver if it supports XDP, else in the network stack (Linux 5.9).
 *
 * @throws BpfError: EINVAL if there is no such device, EBUSY if it has an XDP program already; NotSupportedError
 */
export function attachXdp(program: BpfProgram, { ifindex }: XdpTarget): Link {
  const kind: LinkKind = {
    feature: 'links of XDP programs',
    minimumKernel: '5.9',
    capabilities: ['CAP_BPF', 'CAP_NET_ADMIN'],
  };
  return attachLink(program, `to device ${ifindex} (XDP)`, kind, (it) => libbpf.bpf_program__attach_xdp(it, ifindex));
}
