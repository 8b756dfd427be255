// SPDX-License-Identifier: MIT
/** Made-up readings. */
import { REFUSALS } from '../../src/datapath/outcomes';
import { documentOf, type Stats } from '../../src/datapath/stats';

/** A reading of an interface that no frame has passed yet. */
export const idleStats = (): Stats => statsOf(() => 0);

/** A reading in which no two numbers are equal. */
export function sampleStats(): Stats {
  let next = 1000;
  return statsOf(() => next++);
}

function statsOf(number: () => number): Stats {
  const head = {
    interface: 'vnet0',
    netns: 'lab',
    backend: 'veth',
    attach: 'tcx',
    state: 'stopped',
    pid: 0,
    impairedBy: null,
  } as const;
  const refused = (): Record<string, number> =>
    Object.fromEntries(Object.keys(REFUSALS).map((name) => [name, number()]));
  return documentOf(head, (path) => (path === 'queue.stopped' ? true : path === 'refused' ? refused() : number()));
}
