// SPDX-License-Identifier: MIT
/**
 * How `ip rule` shows the rules of looped addresses: the first one, those with a table of an interface, the moved local
 * table.
 */
export const LOOP_RULES = /suppress_ifgroup 22094|lookup 1447\d{6}|^[1-9]\d*:\s+from all lookup local *$/m;
