// SPDX-License-Identifier: MIT
/** Why a superpacket is not edited, and what to do instead. */
import type { Watchable } from '../protocol';

/** The command that has the kernel send frames instead of superpackets; `name` as pages call the interface. */
export function withoutSuperpackets({ name, netns }: Watchable): string {
  const [iface = name] = name.split(' '); // what tells it from others of its name stands behind a space
  return `${netns === null ? '' : `ip netns exec ${netns} `}ethtool -K ${iface} tso off gso off`;
}
