// SPDX-License-Identifier: MIT
/**
 * The AF_PACKET socket on the peer: what is sent on it arrives on vnet0 as if received from the wire. PACKET_VNET_HDR
 * passes checksums and superpackets as they are.
 *
 * PACKET_QDISC_BYPASS is not used: a veth has no qdisc to bypass except that of `vnet-bpf impair`, and the option makes
 * no measurable difference. With it, the kernel would not segment merged packets (gro.ts): there would be no tcx egress
 * for `resegment`, and __dev_direct_xmit (net/core/dev.c) drops what validate_xmit_skb_list changes.
 */
import * as fs from 'node:fs';

import { IFF_UP, FLAGS_AT, IFINFO_BYTES, IFLA, ifinfo, RTM_GETLINK, RX_DROPPED } from '../link/links';
import { askOne, attributesOf, message, numberAttribute } from '../link/rtnetlink';
import { sendMessages, setSocketOption, socketOption64, SystemError } from '../native/libc';
import { bindToLink, openLinkSocket, PACKET_VNET_HDR, SOL_PACKET } from '../native/sockets';

const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_MARK = 36;
const SO_COOKIE = 57;
const MSG_DONTWAIT = 0x40;

/** Space for a batch of superpackets; the charge for a frame ends when vnet0's stack takes it. */
const SEND_BUFFER_BYTES = 8 << 20;

/** Sends the poller's frames; unit tests provide their own. */
export interface FrameSender {
  /** Sends `count` messages from `address` on; returns the number sent, or a negative errno. */
  send(address: number, count: number): number;
}

/** A frame that the socket did not take. */
export interface UnsentFrame {
  /** The memory that holds it; its virtio_net_hdr is at offset `at`. */
  memory: Uint8Array;
  at: number;
  /** Bytes from the Ethernet header on. */
  length: number;
}

export class PacketSocket implements FrameSender, Disposable {
  private constructor(readonly fd: number) {}

  /**
   * Opens the socket on an interface of the calling thread's namespace. Needs CAP_NET_RAW. Its frames carry `mark`, by
   * which `tx` recognizes frames to redirect to the receive side; 0 for a peer's socket.
   */
  static open(ifindex: number, mark: number): PacketSocket {
    const fd = openLinkSocket();
    setSocketOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    setSocketOption(fd, SOL_SOCKET, SO_MARK, mark);
    setSocketOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES);
    bindToLink(fd, ifindex);
    return new PacketSocket(fd);
  }

  /** The same socket for use in another thread; the thread that opened it closes it. */
  static borrow(fd: number): FrameSender {
    return { send: (address, count) => sendMessages(fd, address, count, MSG_DONTWAIT) };
  }

  send(address: number, count: number): number {
    return sendMessages(this.fd, address, count, MSG_DONTWAIT);
  }

  /** The socket's cookie, a number that no other socket has until the next boot. */
  get cookie(): number {
    return Number(socketOption64(this.fd, SOL_SOCKET, SO_COOKIE));
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

// vnet0, the far end. It is queried from the peer namespace, because a socket in vnet0's own namespace would keep that
// namespace alive after `ip netns del`. The peer says which interface vnet0 is: its ifindex, and the id that the peer
// namespace has for vnet0's namespace. RTM_GETLINK waits for the kernel's RTNL lock, so look() is called only in case
// of doubt.

export interface FarEnd {
  /** Refreshes everything below; false if the interface is gone. */
  look(): boolean;
  readonly up: boolean;
  readonly mtu: number;
  /**
   * Number of frames that arrived and were dropped: vnet0 was down, they were too long for it, or a backlog was full.
   */
  readonly rxDropped: number;
}

export class PeerFarEnd implements FarEnd {
  up = true;
  mtu = Infinity;
  rxDropped = 0;
  /** The request for vnet0; null until the peer has shown which interface vnet0 is. */
  private request: Uint8Array | null = null;

  constructor(
    /** An rtnetlink socket of the peer namespace that nothing else uses at the same time. Borrowed. */
    private readonly socket: number,
    private readonly peerIfindex: number,
  ) {}

  look(): boolean {
    try {
      this.request ??= this.requestByPeer();
      const answer = askOne(this.socket, RTM_GETLINK, this.request);
      const found = attributesOf(answer, IFINFO_BYTES);
      this.up = (answer.getUint32(FLAGS_AT, true) & IFF_UP) !== 0;
      this.mtu = found.get(IFLA.MTU)?.getUint32(0, true) ?? Infinity;
      this.rxDropped = Number(found.get(IFLA.STATS64)?.getBigUint64(RX_DROPPED, true) ?? 0);
      return true;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.request = null; // vnet0 may have moved to another namespace
      return false;
    }
  }

  private requestByPeer(): Uint8Array {
    const peer = attributesOf(askOne(this.socket, RTM_GETLINK, ifinfo({ ifindex: this.peerIfindex })), IFINFO_BYTES);
    const ifindex = peer.get(IFLA.LINK)?.getInt32(0, true) ?? 0;
    const netns = peer.get(IFLA.LINK_NETNSID)?.getInt32(0, true);
    return netns === undefined
      ? ifinfo({ ifindex })
      : message(ifinfo({ ifindex }), numberAttribute(IFLA.TARGET_NETNSID, netns));
  }
}

// The backlogs in which received frames wait for their CPU (net.core.netdev_max_backlog).

/** Frames that the machine has dropped since boot because a backlog was full; 0 if the kernel does not report it. */
export function backlogDropsOfMachine(): number {
  try {
    const lines = fs.readFileSync('/proc/net/softnet_stat', 'utf8').trim().split('\n');
    // One line per CPU; the second column is softnet_data.dropped.
    return lines.reduce((sum, line) => sum + parseInt(line.split(' ')[1] ?? '0', 16), 0);
  } catch {
    return 0;
  }
}
