// SPDX-License-Identifier: MIT
/**
 * What vnet0 is like just now, asked from the peer namespace: a socket in vnet0's own would keep that alive after
 * `ip netns del`. Its peer names it, by its index and by the number that the peer namespace has for its namespace.
 * RTM_GETLINK waits for the kernel's RTNL lock: ask only where there is a doubt.
 */
import { SystemError } from '../native/libc';
import { IFF_UP, FLAGS_AT, IFINFO_BYTES, IFLA, ifinfo, RTM_GETLINK, RX_DROPPED } from './links';
import { askOne, attributesOf, message, numberAttribute } from './rtnetlink';

export interface FarEnd {
  /** Reads everything below; false if the interface is gone. */
  look(): boolean;
  readonly up: boolean;
  readonly mtu: number;
  /** Frames that came to it and went no further: it was down, they were too long for it, or a backlog was full. */
  readonly rxDropped: number;
}

export class PeerFarEnd implements FarEnd {
  up = true;
  mtu = Infinity;
  rxDropped = 0;
  /** Asks for it; null until the peer has said which it is. */
  private request: Uint8Array | null = null;

  constructor(
    /** An rtnetlink socket of the peer's namespace that nobody else asks on meanwhile. Borrowed. */
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
      this.request = null; // it may have gone to another namespace
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
