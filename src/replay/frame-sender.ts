// SPDX-License-Identifier: MIT
/**
 * Sends frames on an interface as an application would, several with one system call. It blocks while the queue is
 * stopped: nothing is lost where frames are held. A virtio_net_hdr goes with each frame, so that superpackets and
 * partial checksums enter the loop again as they did when they were recorded.
 */
import * as fs from 'node:fs';

import { MappedMemory } from 'libbpf-ts';

import { VNET_HDR_BYTES } from '../datapath/layout';
import { VnetError } from '../errors';
import type { Netns } from '../link/netns';
import { bindSocket, errnoName, errnoOf, openBlockingSocket, sendMessages, setSocketOption } from '../native/libc';

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;
const SOCKADDR_LL_BYTES = 20;

/** struct mmsghdr and struct iovec on 64-bit. */
const MESSAGE = { bytes: 64, iov: 16, iovlen: 24 } as const;
const IOVEC_BYTES = 16;
const BATCH = 32;
/** An Ethernet header, two tags, the largest IP packet, and the virtio_net_hdr; in whole cache lines. */
const FRAME_BYTES = 65728;
const FRAMES = BATCH * (MESSAGE.bytes + IOVEC_BYTES);

export class FrameSender implements Disposable {
  private readonly memory = MappedMemory.map({ length: FRAMES + BATCH * FRAME_BYTES });
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
    for (let i = 0; i < BATCH; i++) {
      const iovec = BATCH * MESSAGE.bytes + i * IOVEC_BYTES;
      view.setBigUint64(iovec, BigInt(memory.address + FRAMES + i * FRAME_BYTES), true);
      view.setBigUint64(i * MESSAGE.bytes + MESSAGE.iov, BigInt(memory.address + iovec), true);
      view.setBigUint64(i * MESSAGE.bytes + MESSAGE.iovlen, 1n, true);
    }
  }

  static open(netns: Netns, iface: string, ifindex: number): FrameSender {
    const fd = netns.run(() => openBlockingSocket(AF_PACKET, SOCK_RAW, 0));
    setSocketOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    const address = new DataView(new ArrayBuffer(SOCKADDR_LL_BYTES));
    address.setUint16(0, AF_PACKET, true);
    address.setInt32(4, ifindex, true);
    bindSocket(fd, new Uint8Array(address.buffer));
    return new FrameSender(fd, iface);
  }

  /** The longest frame that can be sent. */
  static readonly MAX_BYTES = FRAME_BYTES - VNET_HDR_BYTES;

  /** Takes a frame, and sends when enough have come together. Without a header the frame is complete as it is. */
  add(frame: Uint8Array, virtioNetHeader: Uint8Array | null): void {
    const at = FRAMES + this.waiting * FRAME_BYTES;
    if (virtioNetHeader) this.bytes.set(virtioNetHeader, at);
    else this.bytes.fill(0, at, at + VNET_HDR_BYTES);
    this.bytes.set(frame, at + VNET_HDR_BYTES);
    this.view.setUint32(BATCH * MESSAGE.bytes + this.waiting * IOVEC_BYTES + 8, VNET_HDR_BYTES + frame.length, true);
    if (++this.waiting === BATCH) this.flush();
  }

  /** Sends what has been taken. Throws a VnetError if the interface is gone. */
  flush(): void {
    for (let done = 0; done < this.waiting; ) {
      const result = sendMessages(this.fd, this.memory.address + done * MESSAGE.bytes, this.waiting - done, 0);
      if (result > 0) {
        this.sent += result;
        done += result;
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
