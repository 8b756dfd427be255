// SPDX-License-Identifier: MIT
/** Sends frames on an interface, and captures frames with their direction and VLAN tag. */
import * as fs from 'node:fs';

import type { Test } from 'tap';

import { LARGEST_RECORD } from '../../src/layout';
import { SLOW } from './cli';
import { Messages } from './messages';
import * as native from './native-socket';
import { ok } from './netns';

const ETH_P_ALL = 3;
const PACKET_AUXDATA = 8;
const PACKET_VNET_HDR = 15;
const PACKET_QDISC_BYPASS = 20;
const VNET_HDR_BYTES = 10;
const TP_STATUS_VLAN_VALID = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID = 1 << 6;
const ADDRESSES_BYTES = 12;
/** The largest superpacket. */
const MAX_FRAME_BYTES = LARGEST_RECORD;

/** sll_pkttype; `outgoing` frames were given to the interface to transmit, all others were received. */
const DIRECTIONS = ['host', 'broadcast', 'multicast', 'otherhost', 'outgoing'] as const;

export interface Captured {
  direction: (typeof DIRECTIONS)[number];
  /** The frame as it is on a wire: a tag that the kernel keeps outside the data is put back. */
  frame: Buffer;
  /** Whether the kernel kept the tag outside the data. */
  tagBeside: boolean;
}

export class RawSocket {
  private readonly messages: Messages;

  private constructor(
    private readonly fd: number,
    private readonly vnetHeader: boolean,
  ) {
    this.messages = new Messages(16, MAX_FRAME_BYTES + VNET_HDR_BYTES, 64);
  }

  /**
   * Opens a socket on an interface; it is closed when the test ends. With `vnetHeader`, frames to be sent start with a
   * virtio_net_hdr; with `bypass`, they bypass the TC egress; with `claimed`, the kernel is told this EtherType, whatever
   * the bytes say.
   */
  static open(
    t: Test,
    netns: string,
    iface: string,
    options: { vnetHeader?: boolean; bypass?: boolean; sendBufferBytes?: number; claimed?: number } = {},
  ): RawSocket {
    const [link] = JSON.parse(ok('ip', ['-n', netns, '-json', 'link', 'show', 'dev', iface])) as [{ ifindex: number }];
    // Protocol 0 until bound: nothing of other interfaces gets in.
    const fd = native.openSocket(netns, native.AF_PACKET, native.SOCK_RAW, 0);
    const socket = new RawSocket(fd, options.vnetHeader ?? false);
    t.teardown(() => socket.close());
    if (options.vnetHeader) native.setOption(fd, native.SOL_PACKET, PACKET_VNET_HDR, 1);
    if (options.bypass) native.setOption(fd, native.SOL_PACKET, PACKET_QDISC_BYPASS, 1);
    if (options.sendBufferBytes)
      native.setOption(fd, native.SOL_SOCKET, native.SO_SNDBUFFORCE, options.sendBufferBytes);
    native.setOption(fd, native.SOL_PACKET, PACKET_AUXDATA, 1);
    native.setOption(fd, native.SOL_SOCKET, native.SO_RCVBUFFORCE, 64 << 20);
    const address = new DataView(new ArrayBuffer(20));
    address.setUint16(0, native.AF_PACKET, true);
    address.setUint16(2, options.claimed ?? ETH_P_ALL);
    address.setInt32(4, link.ifindex, true);
    native.bind(fd, new Uint8Array(address.buffer));
    return socket;
  }

  /** Sends one frame; returns 0 or the errno. */
  trySend(frame: Uint8Array): number {
    this.messages.payload(0).set(frame);
    this.messages.setLength(0, frame.length);
    const result = this.messages.send(this.fd, 0, 1);
    this.messages.setLength(0, this.messages.bytes); // receive() uses the same memory
    return result < 0 ? -result : 0;
  }

  /** Sends one frame, which must succeed. */
  send(frame: Uint8Array): void {
    const errno = this.trySend(frame);
    if (errno !== 0) throw new Error(`send of a ${frame.length}-byte frame: ${native.errnoName(errno)}`);
  }

  /** Returns the frames captured so far, in order, and empties the socket. */
  captured(): Captured[] {
    const frames: Captured[] = [];
    for (;;) {
      const count = this.messages.receive(this.fd, native.MSG_DONTWAIT);
      if (count <= 0) return frames;
      for (let i = 0; i < count; i++) frames.push(this.describe(i));
    }
  }

  /** Captures until there are `count` received frames that `wanted` selects, or the time is up. */
  async received(count: number, wanted: (frame: Buffer) => boolean, ms = 3000): Promise<Captured[]> {
    const frames: Captured[] = [];
    const end = Date.now() + ms * SLOW;
    for (;;) {
      frames.push(...this.captured().filter(({ direction, frame }) => direction !== 'outgoing' && wanted(frame)));
      if (frames.length >= count || Date.now() > end) return frames;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  private describe(i: number): Captured {
    const from = this.vnetHeader ? VNET_HDR_BYTES : 0;
    const data = Buffer.from(this.messages.payload(i).subarray(from, this.messages.length(i)));
    const direction = DIRECTIONS[this.messages.name(i).getUint8(10)] ?? 'outgoing';
    // struct tpacket_auxdata: u32 status, len, snaplen, u16 mac, net, vlan_tci, vlan_tpid
    const aux = this.messages.control(i, native.SOL_PACKET, PACKET_AUXDATA);
    const status = aux?.getUint32(0, true) ?? 0;
    if (!aux || (status & TP_STATUS_VLAN_VALID) === 0) return { direction, frame: data, tagBeside: false };
    const tag = Buffer.alloc(4);
    tag.writeUInt16BE((status & TP_STATUS_VLAN_TPID_VALID) !== 0 ? aux.getUint16(18, true) : 0x8100, 0);
    tag.writeUInt16BE(aux.getUint16(16, true), 2);
    const frame = Buffer.concat([data.subarray(0, ADDRESSES_BYTES), tag, data.subarray(ADDRESSES_BYTES)]);
    return { direction, frame, tagBeside: true };
  }

  close(): void {
    fs.closeSync(this.fd);
    this.messages[Symbol.dispose]();
  }
}
