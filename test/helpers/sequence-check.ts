// SPDX-License-Identifier: MIT
/** Counts lost, repeated and overtaken datagrams by their flow and sequence number. */
import type { Messages } from './messages';
import * as native from './native-socket';
import { pattern, PAYLOAD_HEADER_BYTES } from './udp-payload';

export interface SequenceResult {
  received: number;
  /** Numbers below the highest of their flow that never came. */
  missing: number;
  /** Numbers that came twice. */
  repeated: number;
  /** Numbers that came after a higher one. */
  overtaken: number;
  /** Datagrams of the wrong size or with wrong bytes. */
  damaged: number;
  /** Datagrams that the receiving socket had no space for: lost here, not in the loop. */
  overflow: number;
  flows: number;
}

interface Flow {
  next: number;
  missing: Set<number>;
}

export class SequenceCheck {
  private readonly flows = new Map<number, Flow>();
  private readonly result: SequenceResult = {
    received: 0,
    missing: 0,
    repeated: 0,
    overtaken: 0,
    damaged: 0,
    overflow: 0,
    flows: 0,
  };
  private readonly payloads: Buffer[];
  private readonly expected: Buffer;

  constructor(
    private readonly messages: Messages,
    private readonly bytes: number,
  ) {
    this.expected = pattern(bytes);
    this.payloads = Array.from({ length: messages.count }, (_, i) => {
      const { buffer, byteOffset, byteLength } = messages.payload(i);
      return Buffer.from(buffer, byteOffset, byteLength);
    });
  }

  /** Looks at the first `count` messages, just received. */
  add(count: number): void {
    const { result, bytes, expected, messages } = this;
    result.received += count;
    for (let i = 0; i < count; i++) {
      const payload = this.payloads[i] as Buffer;
      const whole =
        messages.length(i) === bytes &&
        payload.compare(expected, PAYLOAD_HEADER_BYTES, bytes, PAYLOAD_HEADER_BYTES, bytes) === 0;
      if (whole) this.number(payload.readUInt32LE(0), payload.readUInt32LE(4));
      else result.damaged++;
    }
    result.overflow =
      messages.control(count - 1, native.SOL_SOCKET, native.SO_RXQ_OVFL)?.getUint32(0, true) ?? result.overflow;
  }

  private number(id: number, sequence: number): void {
    let flow = this.flows.get(id);
    if (!flow) this.flows.set(id, (flow = { next: 0, missing: new Set() }));
    if (sequence >= flow.next) {
      for (let left = flow.next; left < sequence; left++) flow.missing.add(left);
      flow.next = sequence + 1;
    } else if (flow.missing.delete(sequence)) this.result.overtaken++;
    else this.result.repeated++;
  }

  finish(): SequenceResult {
    const flows = [...this.flows.values()];
    return { ...this.result, flows: flows.length, missing: flows.reduce((sum, { missing }) => sum + missing.size, 0) };
  }
}
