// SPDX-License-Identifier: MIT
/**
 * What one poll is going to send, and what it does to the counters. Each message knows how far the
 * counting is once it has been sent: so many records done with, so many frames dropped and
 * injected since the plan began. Wherever sending stops, the law of the loop holds.
 *
 *   records in the ring   r0        r1     r2 (superpacket, 3 pieces)      r3
 *   verdict               pass      drop   pass, drop, replace             pass, and injects one
 *   messages              m0               m1              m2              m3      m4
 *   records done          1                2               3               4       4
 *   dropped               0                1               2               2       2
 *   injected              0                0 + 1           1 + 1           2       3
 *
 * A superpacket that is sent in pieces counts those beyond one as injected: it came in as one frame.
 */
import { BATCH } from '../datapath/layout';

export interface Tally {
  records: number;
  dropped: number;
  injected: number;
}

export class Plan {
  /** Addresses of virtio_net_hdr and frame, and the bytes of both. */
  readonly addresses = new Float64Array(BATCH.max);
  readonly bytes = new Uint32Array(BATCH.max);
  /** The count once message i is done with. */
  readonly records = new Uint32Array(BATCH.max);
  readonly dropped = new Uint32Array(BATCH.max);
  readonly injected = new Uint32Array(BATCH.max);
  /** The record that message i is of, -1 for what a hook injected. */
  readonly recordOf = new Int32Array(BATCH.max);
  /** What became of each record, as a value of FATE, and of how many of its pieces; for whoever records. */
  readonly fates = new Uint8Array(BATCH.max);
  readonly pieces = new Uint32Array(BATCH.max);
  /** Messages. */
  length = 0;
  private judged = 0;
  /** Everything, the records behind the last message included. */
  readonly total: Tally = { records: 0, dropped: 0, injected: 0 };

  /** Messages that still fit in. */
  get room(): number {
    return BATCH.max - this.length;
  }

  clear(): void {
    this.length = 0;
    this.total.records = this.total.dropped = this.total.injected = 0;
  }

  /** One more message; call the counting methods for it before. It is of the record that is being judged, or injected. */
  send(address: number, bytes: number, injected = false): void {
    const i = this.length++;
    this.addresses[i] = address;
    this.bytes[i] = bytes;
    this.records[i] = this.total.records;
    this.dropped[i] = this.total.dropped;
    this.injected[i] = this.total.injected;
    this.recordOf[i] = injected ? -1 : this.judged;
  }

  /** A record is done with, by the next message or without one; `fate` is what becomes of it if that message is sent. */
  recordDone(fate: number, pieces = 0): void {
    this.judged = this.total.records++;
    this.fates[this.judged] = fate;
    this.pieces[this.judged] = pieces;
  }

  /** Message i was refused. */
  refused(i: number, fate: number): void {
    const record = this.recordOf[i] as number;
    if (record >= 0) this.fates[record] = fate;
  }

  countDropped(): void {
    this.total.dropped++;
  }

  countInjected(): void {
    this.total.injected++;
  }
}
