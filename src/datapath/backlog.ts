// SPDX-License-Identifier: MIT
/** The backlogs in which received frames wait for their CPU (net.core.netdev_max_backlog). */
import * as fs from 'node:fs';

/** Frames that the machine ever dropped because a backlog was full; 0 where the kernel does not tell. */
export function backlogDropsOfMachine(): number {
  try {
    const lines = fs.readFileSync('/proc/net/softnet_stat', 'utf8').trim().split('\n');
    // One line per CPU; the second column is softnet_data.dropped.
    return lines.reduce((sum, line) => sum + parseInt(line.split(' ')[1] ?? '0', 16), 0);
  } catch {
    return 0;
  }
}
