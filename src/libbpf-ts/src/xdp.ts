// SPDX-License-Identifier: MIT
import { ifindexOf, oneOf } from './border';
import { BpfError, Errno, errnoWords } from './errors';
import { attachByRequest, attachOperation, type LinkKind } from './attach-link';
import type { Link } from './link';
import type { BpfProgram } from './program';
import { AttachType } from './uapi';

/**
 * Where an XDP program runs: `native` in the driver, before the kernel allocates a packet; `generic` in the network
 * stack, for any device, at a lower speed; `offload` in the device itself.
 */
export type XdpMode = 'native' | 'generic' | 'offload';

export interface XdpTarget {
  /** Index of the device in the calling thread's network namespace. */
  readonly ifindex: number;
  /**
   * Where to run. Without it the kernel decides: in the driver if the driver knows XDP at all, else in the network
   * stack. It does not change its mind where the driver then refuses.
   */
  readonly mode?: XdpMode;
}

/** XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE and XDP_FLAGS_HW_MODE (include/uapi/linux/if_link.h). */
const MODE_FLAG: Readonly<Record<XdpMode, number>> = { native: 1 << 2, generic: 1 << 1, offload: 1 << 3 };
const MODES = Object.keys(MODE_FLAG) as XdpMode[];

const KIND: LinkKind = {
  feature: 'links of XDP programs',
  minimumKernel: '5.9',
  capabilities: ['CAP_BPF', 'CAP_NET_ADMIN'],
};

/** What the kernel means, by errno: it explains itself only to programs that attach over netlink. */
function hintFor(errno: number, mode: XdpMode | undefined): string | undefined {
  switch (errno) {
    case Errno.ERANGE:
    case Errno.EOPNOTSUPP:
      return mode === 'generic'
        ? undefined
        : "the driver refuses XDP with this device's settings; mode: 'generic' always works. A veth wants an MTU of " +
            'at most about 3500 bytes on its peer (ip link set PEER mtu 3000), or a program with SEC("xdp.frags")';
    case Errno.EINVAL:
      return (
        'there is no such device in this network namespace, or it does not take this program' +
        (mode === 'native' ? "; mode: 'generic' needs nothing of the driver" : '')
      );
    case Errno.EBUSY:
    case Errno.EEXIST:
      return 'the device has an XDP program already, perhaps in another mode; ip link show names it';
    default:
      return undefined;
  }
}

/**
 * Attaches an XDP program to a network device (Linux 5.9).
 *
 * @throws BpfError: EINVAL if there is no such device, EBUSY if it has an XDP program already, ERANGE or EOPNOTSUPP if
 *   the driver refuses, as a veth does whose peer has an MTU above about 3500; NotSupportedError
 */
export function attachXdp(program: BpfProgram, { ifindex, mode }: XdpTarget): Link {
  const where = `to device ${ifindexOf('attach XDP', ifindex)} (XDP)`;
  const operation = attachOperation(program, where);
  if (mode !== undefined) oneOf(operation, 'mode', mode, MODES);
  const flags = mode === undefined ? 0 : MODE_FLAG[mode];
  try {
    return attachByRequest(program, where, KIND, { target: ifindex, attachType: AttachType.XDP, flags });
  } catch (error) {
    if (!(error instanceof BpfError) || error.code !== 'BPF_SYSCALL') throw error;
    const { errno } = error;
    const hint = hintFor(errno, mode);
    if (hint === undefined) throw error;
    throw new BpfError(`${operation}: ${errnoWords(errno)}: ${hint}`, { errno, operation });
  }
}
