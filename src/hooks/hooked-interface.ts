// SPDX-License-Identifier: MIT
/** One interface with a hook, put together in the thread that polls it. */
import { MappedMemory } from 'libbpf-ts';

import { HookedPoller } from '../datapath/hooked-poller';
import { BATCH, CONTROL } from '../datapath/layout';
import { PollLoop } from '../datapath/poll-loop';
import { mapParts, paceOf, type Own, type PollRequest } from '../datapath/polled-interface';
import { increment } from '../datapath/shared-memory';
import { Arena, ARENA_BYTES } from './arena';
import type { HookHost } from './hook-host';
import type { Injections } from './injections';
import { Judge } from './judge';
import { Plan } from './plan';

export interface HookedInterface {
  readonly loop: PollLoop;
  readonly poller: HookedPoller;
  /** Counts an error of the hook. */
  countError(): void;
  /** Unmaps everything; the loop must have ended. */
  close(): void;
}

export interface HookedEvents {
  queue: () => void;
  stalled: () => void;
}

export interface HookedParts {
  host: HookHost;
  injections: Injections;
  /** Words of VITALS. */
  vitals: Int32Array;
  /** As in HookOrder. */
  deadly: readonly number[];
}

/** The plain poller of this interface must have ended. Throws a BpfError if something cannot be mapped. */
export function openHookedInterface(request: PollRequest, { host, injections, vitals, deadly }: HookedParts, events: HookedEvents): HookedInterface {
  const mappings: { close(): void }[] = [];
  const close = (): void => mappings.forEach((mapping) => mapping.close());
  const own: Own = (mapping) => {
    mappings.push(mapping);
    return mapping;
  };
  try {
    const { batchOf, data, dataAddress, ...parts } = mapParts(request, own);
    const arena = new Arena(own(MappedMemory.map({ length: ARENA_BYTES })));
    const plan = new Plan();
    const judge = new Judge(data, dataAddress, arena, plan, host);
    const poller = new HookedPoller({ ...parts, data, dataAddress, batch: batchOf(BATCH.max), arena, plan, judge, injections, vitals, deadly }, request.budget);
    const { gate, ring, control } = parts;
    const loop = new PollLoop({
      poller,
      gate,
      ring: { isEmpty: () => ring.isEmpty() && !poller.hasMore, consumerPosition: () => ring.consumerPosition() },
      control,
      command: new Int32Array(request.command),
      ...paceOf(request),
      onQueue: events.queue,
      onStalled: events.stalled,
    });
    return { loop, poller, countError: () => increment(control, CONTROL.hooksErrors), close };
  } catch (error) {
    close();
    throw error;
  }
}
