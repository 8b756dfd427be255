// SPDX-License-Identifier: MIT
/** How far a plan has been carried out, and what that makes of the counters. */
import type { Batch, HookedCounters } from '../datapath/batch';
import { CONTROL, VNET_HDR_BYTES } from '../datapath/layout';
import type { SharedWords } from '../datapath/shared-memory';
import type { Plan, Tally } from './plan';

export class Ledger {
  /** Messages of the plan that are done with. */
  sent = 0;
  private readonly counters: HookedCounters;
  /** What of the plan is in the counters. */
  private readonly counted: Tally = { records: 0, dropped: 0, injected: 0 };
  private readonly left: Tally = { records: 0, dropped: 0, injected: 0 };
  private largestFrame: number;

  constructor(
    private readonly control: SharedWords,
    private readonly plan: Plan,
  ) {
    const at = (offset: number): number => control.get64(offset);
    this.counters = {
      start: 0,
      drained: at(CONTROL.drained),
      rxPackets: at(CONTROL.rxPackets),
      rxBytes: at(CONTROL.rxBytes),
      dropped: at(CONTROL.hooksDropped),
      injected: at(CONTROL.hooksInjected),
    };
    this.largestFrame = at(CONTROL.largestFrame);
  }

  /** Messages wait to be sent. */
  get hasMore(): boolean {
    return this.sent < this.plan.length;
  }

  /** Records of the plan that are still in the ring. */
  get recordsLeft(): number {
    return this.plan.total.records - this.counted.records;
  }

  get drained(): number {
    return this.counters.drained;
  }

  /** A new plan is made. */
  startAnew(): void {
    this.plan.clear();
    this.sent = 0;
    this.counted.records = this.counted.dropped = this.counted.injected = 0;
  }

  /** Makes messages of what is left, and writes into the batch log how the counters are before them. */
  begin(batch: Batch, consumerPosition: number): void {
    const { plan, counted, left } = this;
    batch.clear();
    for (let i = this.sent; i < plan.length; i++) {
      batch.add(1, 0, 0);
      batch.append(plan.addresses[i] as number, plan.bytes[i] as number);
      batch.tally(
        (plan.records[i] as number) - counted.records,
        (plan.dropped[i] as number) - counted.dropped,
        (plan.injected[i] as number) - counted.injected,
      );
    }
    left.records = plan.total.records - counted.records;
    left.dropped = plan.total.dropped - counted.dropped;
    left.injected = plan.total.injected - counted.injected;
    this.counters.start = consumerPosition;
    batch.beginHooked(this.counters, left);
  }

  /** The socket took messages of the plan. */
  received(from: number, to: number): void {
    const { plan, counters } = this;
    for (let i = from; i < to; i++) {
      const length = (plan.bytes[i] as number) - VNET_HDR_BYTES;
      counters.rxBytes += length;
      if (length > this.largestFrame) this.control.set64(CONTROL.largestFrame, (this.largestFrame = length));
    }
    counters.rxPackets += to - from;
  }

  /** So many messages are done with; returns how many records are since the last time. */
  settle(sent: number): number {
    const { plan, counters, counted } = this;
    this.sent = sent;
    const all = sent === plan.length;
    if (!all && sent === 0) return 0;
    const records = all ? plan.total.records : (plan.records[sent - 1] as number);
    const dropped = all ? plan.total.dropped : (plan.dropped[sent - 1] as number);
    const injected = all ? plan.total.injected : (plan.injected[sent - 1] as number);
    const done = records - counted.records;
    counters.drained += done;
    counters.dropped += dropped - counted.dropped;
    counters.injected += injected - counted.injected;
    counted.records = records;
    counted.dropped = dropped;
    counted.injected = injected;
    return done;
  }

  /** Makes the counters known, after the records have left the ring. */
  publish(): void {
    const { control, counters } = this;
    control.set64(CONTROL.drained, counters.drained);
    control.set64(CONTROL.rxPackets, counters.rxPackets);
    control.set64(CONTROL.rxBytes, counters.rxBytes);
    control.set64(CONTROL.hooksDropped, counters.dropped);
    control.set64(CONTROL.hooksInjected, counters.injected);
  }
}
