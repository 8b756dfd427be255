// SPDX-License-Identifier: MIT
/** Throughput against one option of ours: the same loads, other systems. Ratios are to the default. */
import { DEFAULTS } from '../../../src/options/attach-options';
import { bytes } from '../../../src/terminal/output';
import type { Section } from './measure';
import { TCP } from './tcp';
import { UDP } from './udp';

const ring = bytes(DEFAULTS.ringBytes);

export const RING_TCP: Section = { ...TCP, id: 'ring-tcp', title: 'TCP against --ring-size', baseline: ring };
export const RING_UDP: Section = { ...UDP, id: 'ring-udp', title: 'UDP against --ring-size', baseline: ring };
export const BUDGET: Section = {
  ...UDP,
  id: 'budget',
  title: 'UDP against --budget',
  baseline: String(DEFAULTS.budget),
};
