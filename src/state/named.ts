// SPDX-License-Identifier: MIT
/** Attached interfaces as messages name them. */

/** `vnet0`, or `vnet0 in namespace lab`. */
export const named = (iface: string, netns: string | null): string => (netns === null ? iface : `${iface} in namespace ${netns}`);
