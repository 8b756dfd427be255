// SPDX-License-Identifier: MIT
/**
 * Sends frames on an interface as an application would, several with one system call. It waits while the queue is
 * stopped: nothing is lost where frames are held. A virtio_net_hdr goes with each frame, so that superpackets and
 * partial checksums enter the loop again as they did when they were recorded.
 */
import * as fs from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';

import { MappedMemory } from 'libbpf-ts';

import { IOVEC_BYTES, MSG_IOV, MSG_IOVLEN } from '../datapath/batch';
import { BATCH, LARGEST_RECORD, VNET_HDR_BYTES } from '../datapath/layout';
import { VnetError } from '../errors';
import type { Netns } from '../link/netns';
import { errnoName, errnoOf, isWritableWithin, sendMessages, setSocketOption } from '../native/libc';
import { bindToLink, openLinkSocket, PACKET_VNET_HDR, SOL_PACKET } from '../native/link-socket';

const MESSAGE_BYTES = BATCH.messageBytes;
/** Frames that are sent together. */
const TOGETHER = 32;
/** A frame and its virtio_net_hdr; in whole cache lines. */
const FRAME_BYTES = LARGEST_RECORD + 8;
/** How long it waits for a stopped queue before signals are looked at. */
const WAIT_MS = 50;
const FRAMES = TOGETHER * (MESSAGE_BYTES + IOVEC_BYTES);

export class FrameSender implements Disposable {
  private readonly memory = MappedMemory.map({ length: FRAMES + TOGETHER * FRAME_BYTES });
  private readonly bytes = new Uint8Array(this.memory.buffer);
  private readonly view = new DataView(this.memory.buffer);
  private waiting = 0;
  private open = true;
  sent = 0;
  /** Errors by name: how many frames the kernel did not take for it. */
  readonly refused = new Map<string, number>();

  private constructor(
    private readonly fd: number,
    private readonly iface: string,
  ) {
    const { view, memory } = this;
    for (let i = 0; i < TOGETHER; i++) {
      const iovec = TOGETHER * MESSAGE_BYTES + i * IOVEC_BYTES;
      view.setBigUint64(iovec, BigInt(memory.address + FRAMES + i * FRAME_BYTES), true);
      view.setBigUint64(i * MESSAGE_BYTES + MSG_IOV, BigInt(memory.address + iovec), true);
      view.setBigUint64(i * MESSAGE_BYTES + MSG_IOVLEN, 1n, true);
    }
  }

  static open(netns: Netns, iface: string, ifindex: number): FrameSender {
    const fd = netns.run(openLinkSocket);
    setSocketOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    bindToLink(fd, ifindex);
    return new FrameSender(fd, iface);
  }

  /** The longest frame that can be sent. */
  static readonly MAX_BYTES = FRAME_BYTES - VNET_HDR_BYTES;

  /** Takes a frame; true if flush() has to be waited for before the next one. Without a header the frame is complete as it is. */
  add(frame: Uint8Array, virtioNetHeader: Uint8Array | null): boolean {
    if (frame.length > FrameSender.MAX_BYTES || this.waiting === TOGETHER) throw new RangeError(`a frame of ${frame.length} bytes`); // it would lie over the next one
    const at = FRAMES + this.waiting * FRAME_BYTES;
    if (virtioNetHeader) this.bytes.set(virtioNetHeader, at);
    else this.bytes.fill(0, at, at + VNET_HDR_BYTES);
    this.bytes.set(frame, at + VNET_HDR_BYTES);
    this.view.setUint32(TOGETHER * MESSAGE_BYTES + this.waiting * IOVEC_BYTES + 8, VNET_HDR_BYTES + frame.length, true);
    return ++this.waiting === TOGETHER;
  }

  /** Sends what has been taken; what is left when `signal` is given is dropped. Throws a VnetError if the interface is gone. */
  async flush(signal: AbortSignal): Promise<void> {
    for (let done = 0; done < this.waiting && !signal.aborted; ) {
      const result = sendMessages(this.fd, this.memory.address + done * MESSAGE_BYTES, this.waiting - done, 0);
      if (result > 0) {
        this.sent += result;
        done += result;
      } else if (result === -(errnoOf['EAGAIN'] as number)) {
        if (!isWritableWithin(this.fd, WAIT_MS)) await turn();
      } else if (!this.isWorthAnotherTry(-result)) {
        done++;
      }
    }
    this.waiting = 0;
  }

  /** An error is of the first frame only. */
  private isWorthAnotherTry(errno: number): boolean {
    const name = errnoName(errno);
    if (name === 'EINTR' || errno === 0) return true;
    if (errno === errnoOf['ENETDOWN'] || errno === errnoOf['ENXIO'] || errno === errnoOf['ENODEV']) {
      throw new VnetError('INTERFACE_GONE', `interface ${this.iface}`, `is down or gone, after ${this.sent} frames`, { hint: `ip link set ${this.iface} up, if it is there` });
    }
    this.refused.set(name, (this.refused.get(name) ?? 0) + 1);
    return false;
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    fs.closeSync(this.fd);
    this.memory.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
