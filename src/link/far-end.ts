// SPDX-License-Identifier: MIT
/**
 * The current state of vnet0, asked from the peer namespace: a socket in vnet0's own namespace would keep that alive
 * after `ip netns del`. The peer identifies vnet0, by its ifindex and by the id that the peer namespace has for its
 * namespace. RTM_GETLINK waits for the kernel's RTNL lock, so ask only in case of doubt.
 */
import { SystemError } from '../native/libc';
import { IFF_UP, FLAGS_AT, IFINFO_BYTES, IFLA, ifinfo, RTM_GETLINK, RX_DROPPED } from './links';
import { askOne, attributesOf, message, numberAttribute } from './rtnetlink';

export interface FarEnd {
  /** Refreshes everything below; false if the interface is gone. */
  look(): boolean;
  readonly up: boolean;
  readonly mtu: number;
  /**
   * Number of frames that arrived and went no further: it was down, they were too long for it, or a backlog was full.
   */
  readonly rxDropped: number;
}

export class PeerFarEnd implements FarEnd {
  up = true;
  mtu = Infinity;
  rxDropped = 0;
  /** The request for vnet0; null until the peer has told which interface it is. */
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
    return netns === undefined ? ifinfo({ ifindex }) : message(ifinfo({ ifindex }), numberAttribute(IFLA.TARGET_NETNSID, netns));
  }
}
