// SPDX-License-Identifier: MIT
/**
 * Sends frames on an interface as an application would, several with one system call. The sender waits while the queue
 * is stopped: no frame is lost where frames are held. A virtio_net_hdr goes with each frame, so that superpackets and
 * partial checksums enter the loop as they were recorded. WireFrames turns frames of captures from elsewhere into what
 * a wire would have carried.
 */
import * as fs from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';

import { MappedMemory } from 'libbpf-ts';

import { IOVEC_BYTES, MSG_IOV, MSG_IOVLEN } from '../datapath/batch';
import { VnetError } from '../errors';
import { BATCH, LARGEST_RECORD, VNET_HDR_BYTES } from '../layout';
import type { Netns } from '../link/netns';
import { errnoName, errnoOf, isWritableWithin, sendMessages, setSocketOption } from '../native/libc';
import { bindToLink, openLinkSocket, PACKET_VNET_HDR, SOL_PACKET } from '../native/sockets';
import {
  ETH_HEADER_BYTES,
  ETHER_TYPE,
  EXTENSION,
  HeaderOffsets,
  IPV6_HEADER_BYTES,
  PROTOCOL,
  UDP_HEADER_BYTES,
  VLAN_TAG_BYTES,
} from '../packet/headers';
import { completeChecksum, finish, GSO, pseudoHeader, Segmenter, viewOf } from '../packet/offload';

const MESSAGE_BYTES = BATCH.messageBytes;
/** Frames sent together. */
const TOGETHER = 32;
/** Bytes for a frame and its virtio_net_hdr, in whole cache lines. */
const FRAME_BYTES = LARGEST_RECORD + 8;
/** How long to wait for a stopped queue before signals are handled, in milliseconds. */
const WAIT_MS = 50;
const FRAMES = TOGETHER * (MESSAGE_BYTES + IOVEC_BYTES);

export class FrameSender implements Disposable {
  private readonly memory = MappedMemory.map({ length: FRAMES + TOGETHER * FRAME_BYTES });
  private readonly bytes = new Uint8Array(this.memory.buffer);
  private readonly view = new DataView(this.memory.buffer);
  private waiting = 0;
  private open = true;
  sent = 0;
  /** How many frames the kernel did not take, by the name of the error. */
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

  /** The longest frame that can be sent, in bytes. */
  static readonly MAX_BYTES = FRAME_BYTES - VNET_HDR_BYTES;

  /**
   * Takes a frame; true if the caller must await flush() before the next one. Without a header the frame is complete as
   * it is.
   */
  add(frame: Uint8Array, virtioNetHeader: Uint8Array | null): boolean {
    if (frame.length > FrameSender.MAX_BYTES || this.waiting === TOGETHER)
      throw new RangeError(`a frame of ${frame.length} bytes`); // it would overlap the next one
    const at = FRAMES + this.waiting * FRAME_BYTES;
    if (virtioNetHeader) this.bytes.set(virtioNetHeader, at);
    else this.bytes.fill(0, at, at + VNET_HDR_BYTES);
    this.bytes.set(frame, at + VNET_HDR_BYTES);
    this.view.setUint32(TOGETHER * MESSAGE_BYTES + this.waiting * IOVEC_BYTES + 8, VNET_HDR_BYTES + frame.length, true);
    return ++this.waiting === TOGETHER;
  }

  /** Sends the frames taken; drops the rest once `signal` is aborted. Throws a VnetError if the interface is gone. */
  async flush(signal: AbortSignal): Promise<void> {
    for (let done = 0; done < this.waiting && !signal.aborted;) {
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

  /** Whether to try again after an error, which concerns the first frame only. */
  private isWorthAnotherTry(errno: number): boolean {
    const name = errnoName(errno);
    if (name === 'EINTR' || errno === 0) return true;
    if (errno === errnoOf['ENETDOWN'] || errno === errnoOf['ENXIO'] || errno === errnoOf['ENODEV']) {
      throw new VnetError('INTERFACE_GONE', `interface ${this.iface}`, `is down or gone, after ${this.sent} frames`, {
        hint: `ip link set ${this.iface} up, if it is there`,
      });
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

// Turns captured frames into what a wire would have carried. Captures on the sending machine, or on a NIC that merges
// what it receives (GRO), contain superpackets of many segments, and checksums that were left to the hardware: sums of
// the pseudo-header alone. Of tunnels, only the outer headers are examined.

const CHECKSUM_AT: Readonly<Record<number, number>> = { [PROTOCOL.tcp]: 16, [PROTOCOL.udp]: 6 };
const TCP_DATA_OFFSET = 12;
/** The largest MTU of a virtual interface. */
const MTU_MAX = 65535;
/** Bytes of a hop-by-hop header with a jumbo payload option and nothing else (RFC 2675). */
const JUMBO_HEADER_BYTES = 8;
const JUMBO_OPTION = 0xc204;

/** The longest frame of an interface, in bytes: a VLAN tag comes on top (packet_snd in net/packet/af_packet.c). */
const longest = (frame: Uint8Array, mtu: number): number =>
  mtu + ETH_HEADER_BYTES + (isTagged(frame) ? VLAN_TAG_BYTES : 0);
const isTagged = (frame: Uint8Array): boolean =>
  frame.length >= ETH_HEADER_BYTES && viewOf(frame).getUint16(12) === ETHER_TYPE.vlan;

/** The MTU with which a frame of `bytes` can be sent; null if there is none. */
export const mtuFor = (bytes: number): number | null =>
  bytes - ETH_HEADER_BYTES > MTU_MAX ? null : bytes - ETH_HEADER_BYTES;

export class WireFrames {
  private readonly headers = new HeaderOffsets();
  private readonly segmenter = new Segmenter();
  private frame: Uint8Array = new Uint8Array(0);
  private pieces = 0;
  private jumbo = false;
  /** Superpackets that were segmented, frames made of them, and checksums completed in other frames. */
  superpackets = 0;
  segments = 0;
  completed = 0;

  constructor(private readonly mtu: number) {}

  /**
   * Takes a frame. Returns how many frames a wire would have carried in its place; 0 if it is too long and cannot be
   * segmented.
   */
  open(frame: Uint8Array): number {
    this.frame = frame;
    this.pieces = 1;
    this.headers.find(frame, 0, frame.length);
    const unfinished = this.isUnfinished(frame);
    if (frame.length > longest(frame, this.mtu)) return this.cut(frame, unfinished);
    if (unfinished) {
      this.frame = frame.slice();
      this.complete();
      this.completed++;
    }
    return 1;
  }

  /** Frame `index` of those; borrowed until the next open(). */
  piece(index: number): Uint8Array {
    if (this.pieces === 1) return this.frame;
    const piece = new Uint8Array(this.segmenter.lengthOf(index));
    this.segmenter.write(index, piece);
    completeChecksum(piece, this.segmenter.checksumStart, this.segmenter.checksumOffset);
    return this.jumbo ? withoutJumbo(piece, this.headers.ip) : piece;
  }

  /** Whether the TCP or UDP checksum is only that of the pseudo-header. */
  private isUnfinished(frame: Uint8Array): boolean {
    const { transport, protocol, fragment, ipEnd } = this.headers;
    const field = CHECKSUM_AT[protocol];
    if (transport === 0 || fragment || field === undefined) return false;
    const view = viewOf(frame);
    const sum = view.getUint16(transport + field);
    return sum === (~finish(pseudoHeader(view, this.headers, ipEnd - transport)) & 0xffff);
  }

  /** Completes the checksum over the IP packet; what follows the packet is padding. */
  private complete(): void {
    const { transport, protocol, ipEnd } = this.headers;
    completeChecksum(this.frame.subarray(0, ipEnd), transport, CHECKSUM_AT[protocol] as number);
  }

  private cut(frame: Uint8Array, unfinished: boolean): number {
    const { protocol } = this.headers;
    // A datagram with a finished checksum was sent whole.
    if (protocol !== PROTOCOL.tcp && !(protocol === PROTOCOL.udp && unfinished)) return 0;
    const { transport, v6 } = this.headers;
    if (transport === 0) return 0;
    const isTcp = protocol === PROTOCOL.tcp;
    const headerBytes =
      transport + (isTcp ? ((frame[transport + TCP_DATA_OFFSET] as number) >>> 4) * 4 : UDP_HEADER_BYTES);
    const size = longest(frame, this.mtu) - headerBytes;
    if (size <= 0) return 0;
    const pieces = this.segmenter.open(frame, 0, frame.length, isTcp ? (v6 ? GSO.tcpv6 : GSO.tcpv4) : GSO.udpL4, size);
    if (pieces < 2) return 0;
    this.jumbo = hasJumbo(frame, this.headers);
    this.superpackets++;
    this.segments += pieces;
    return (this.pieces = pieces);
  }
}

/** Whether an IPv6 superpacket is longer than 64 KiB: its segments must not have the option for that. */
function hasJumbo(frame: Uint8Array, { ip, v6 }: HeaderOffsets): boolean {
  const option = ip + IPV6_HEADER_BYTES;
  return (
    v6 &&
    frame[ip + 6] === EXTENSION.hopByHop &&
    frame[option + 1] === 0 &&
    viewOf(frame).getUint16(option + 2) === JUMBO_OPTION
  );
}

function withoutJumbo(piece: Uint8Array, ip: number): Uint8Array {
  const option = ip + IPV6_HEADER_BYTES;
  const view = viewOf(piece);
  view.setUint8(ip + 6, piece[option] as number);
  view.setUint16(ip + 4, view.getUint16(ip + 4) - JUMBO_HEADER_BYTES);
  piece.copyWithin(option, option + JUMBO_HEADER_BYTES);
  return piece.subarray(0, piece.length - JUMBO_HEADER_BYTES);
}
