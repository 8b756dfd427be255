// SPDX-License-Identifier: MIT
/**
 * Memory for the frames that are not sent straight from the ring: changed ones, injected ones, and
 * pieces of superpackets. It has an address, which sendmmsg needs, and is used anew with each plan.
 */
import type { MappedMemory } from 'libbpf-ts';

import { VNET_HDR_BYTES } from '../datapath/layout';

/** Frames begin on a multiple of this. */
const ALIGNMENT = 16;

export const ARENA_BYTES = 4 << 20;

export class Arena {
  /** All of it; frames are parts of this. */
  readonly bytes: Uint8Array;
  private used = 0;

  /** `memory` is borrowed. */
  constructor(private readonly memory: Pick<MappedMemory, 'address' | 'buffer'>) {
    this.bytes = new Uint8Array(memory.buffer);
  }

  get free(): number {
    return this.bytes.length - this.used;
  }

  /** Forgets all frames. */
  reset(): void {
    this.used = 0;
  }

  /** Room for a frame, its virtio_net_hdr before it set to zero: checksums complete, not a superpacket. */
  take(length: number): Uint8Array {
    const at = this.used + ALIGNMENT;
    if (at + length > this.bytes.length) throw new RangeError('the arena is full');
    this.bytes.fill(0, at - VNET_HDR_BYTES, at);
    this.used = (at + length + ALIGNMENT - 1) & -ALIGNMENT;
    return this.bytes.subarray(at, at + length);
  }

  /** A frame copied into here. */
  copy(frame: Uint8Array): Uint8Array {
    const room = this.take(frame.length);
    room.set(frame);
    return room;
  }

  /** The virtio_net_hdr of a frame that lies here. */
  headerOf(frame: Uint8Array): Uint8Array {
    return this.bytes.subarray(frame.byteOffset - VNET_HDR_BYTES, frame.byteOffset);
  }

  /** The address of the virtio_net_hdr of a frame that lies here. */
  addressOf(frame: Uint8Array): number {
    return this.memory.address + frame.byteOffset - VNET_HDR_BYTES;
  }

  /** Where in `bytes` an address of here is. */
  offsetOf(address: number): number {
    return address - this.memory.address;
  }

  /** Where the next frame begins; release() gives back what was taken since. */
  mark(): number {
    return this.used;
  }

  release(mark: number): void {
    this.used = mark;
  }
}
