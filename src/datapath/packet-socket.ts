// SPDX-License-Identifier: MIT
/**
 * The AF_PACKET socket on the hidden peer: what is sent on it arrives on vnet0 as received from
 * the wire. PACKET_VNET_HDR hands over checksums and superpackets as they are.
 *
 * PACKET_QDISC_BYPASS is not used: a veth has no qdisc to bypass but that of `vnet-bpf impair`,
 * the difference could not be measured, and with it the kernel would not cut the packets that we merge (gro.ts): there would
 * be no egress hook for `cut`, and __dev_direct_xmit (net/core/dev.c) drops what validate_xmit_skb_list changes.
 */
import * as fs from 'node:fs';

import { sendMessages, setSocketOption } from '../native/libc';
import { bindToLink, openLinkSocket, PACKET_VNET_HDR, SOL_PACKET } from '../native/link-socket';

const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_MARK = 36;
const MSG_DONTWAIT = 0x40;

/** Room for a batch of superpackets; a frame's charge ends when vnet0's stack takes it. */
const SEND_BUFFER_BYTES = 8 << 20;

/** Takes frames for the poller; a unit test hands in a made-up one. */
export interface FrameSender {
  /** Sends `count` messages from `address` on; the number sent, or minus an errno. */
  send(address: number, count: number): number;
}

export class PacketSocket implements FrameSender, Disposable {
  private constructor(readonly fd: number) {}

  /**
   * Opens the socket on an interface of the calling thread's namespace. Needs CAP_NET_RAW. Frames carry its `mark`: on the
   * looping interface itself `tx` knows them by it and turns them round; of a peer's socket it is POLLER_MARK.
   */
  static open(ifindex: number, mark: number): PacketSocket {
    const fd = openLinkSocket();
    setSocketOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    setSocketOption(fd, SOL_SOCKET, SO_MARK, mark);
    setSocketOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES);
    bindToLink(fd, ifindex);
    return new PacketSocket(fd);
  }

  /** The same socket in another thread; closing it is left to the one that opened it. */
  static borrow(fd: number): FrameSender {
    return { send: (address, count) => sendMessages(fd, address, count, MSG_DONTWAIT) };
  }

  send(address: number, count: number): number {
    return sendMessages(this.fd, address, count, MSG_DONTWAIT);
  }

  private open = true;

  close(): void {
    if (!this.open) return;
    this.open = false;
    fs.closeSync(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
