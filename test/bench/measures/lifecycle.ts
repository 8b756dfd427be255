// SPDX-License-Identifier: MIT
/** How long the commands of the product take, from the start of the process to its end. */
import { run } from '../../helpers/netns';
import { ADDRESS, freshNetns } from '../namespace';
import { removable } from '../open-things';
import { IFACE, vnetBpf } from '../systems/ours';
import type { Section, Values } from './measure';

function milliseconds(body: () => void): number {
  const start = performance.now();
  body();
  return performance.now() - start;
}

/** Attaches, reads and detaches once in a fresh namespace. */
export function lifecycle(main: string): Values {
  const { netns, remove } = freshNetns();
  const where = [IFACE, '--netns', netns];
  const detach = removable(() => void run(process.execPath, [main, 'detach', ...where]));
  const values = {
    attachMs: milliseconds(() => vnetBpf(main, ['attach', ...where, '--addr', `${ADDRESS}/24`, '--daemon'])),
    statsMs: milliseconds(() => vnetBpf(main, ['stats', ...where, '--json'])),
    listMs: milliseconds(() => vnetBpf(main, ['list', '--json'])),
    detachMs: milliseconds(detach),
  };
  remove();
  return values;
}

export const LIFECYCLE: Section = {
  id: 'lifecycle',
  title: 'Time of the commands',
  value: { key: 'attachMs', heading: 'attach --daemon, ms', digits: 3 },
  more: [
    { key: 'detachMs', heading: 'detach, ms', digits: 3 },
    { key: 'statsMs', heading: 'stats, ms', digits: 3 },
    { key: 'listMs', heading: 'list, ms', digits: 3 },
  ],
  baseline: null,
  plot: false,
};
