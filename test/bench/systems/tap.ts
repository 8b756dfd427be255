// SPDX-License-Identifier: MIT
/** A TAP device and an echo program in C. */
import { freshNetns, hairpin, settleNeighbour } from '../namespace';
import { startTool } from '../tool';
import type { Stage, System } from './system';

const IFACE = 'tap0';

export const tap: System = {
  name: 'tap',
  open: async (): Promise<Stage> => {
    const { netns, remove } = freshNetns();
    const echo = startTool(netns, 'tap-echo', [IFACE]);
    await echo.ready;
    hairpin(netns, IFACE);
    settleNeighbour(netns, IFACE);
    return {
      netns,
      iface: IFACE,
      pid: echo.child.pid ?? null,
      close: async () => {
        echo.stop();
        await echo.result;
        remove();
      },
    };
  },
};
