// SPDX-License-Identifier: MIT
/** Throughput against one option of ours: the same loads, other systems. */
import type { Section } from './measure';
import { TCP } from './tcp';
import { UDP } from './udp';

export const RING_TCP: Section = { ...TCP, id: 'ring-tcp', title: 'TCP against --ring-size', baseline: '8 MiB' };
export const RING_UDP: Section = { ...UDP, id: 'ring-udp', title: 'UDP against --ring-size', baseline: '8 MiB' };
export const BUDGET: Section = { ...UDP, id: 'budget', title: 'UDP against --budget', baseline: '64' };
