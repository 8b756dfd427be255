// SPDX-License-Identifier: MIT
/**
 * The AF_PACKET socket on the peer: what is sent on it arrives on vnet0 as received from the wire. PACKET_VNET_HDR
 * passes checksums and superpackets as they are.
 *
 * PACKET_QDISC_BYPASS is not used: a veth has no qdisc to bypass except that of `vnet-bpf impair`, and no difference
 * was measurable. With it the kernel would not segment merged packets (gro.ts): there would be no tcx egress for
 * `resegment`, and __dev_direct_xmit (net/core/dev.c) drops what validate_xmit_skb_list changes.
 */
import * as fs from 'node:fs';

import { sendMessages, setSocketOption, socketOption64 } from '../native/libc';
import { bindToLink, openLinkSocket, PACKET_VNET_HDR, SOL_PACKET } from '../native/sockets';

const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_MARK = 36;
const SO_COOKIE = 57;
const MSG_DONTWAIT = 0x40;

/** Space for a batch of superpackets; the charge for a frame ends when vnet0's stack takes it. */
const SEND_BUFFER_BYTES = 8 << 20;

/** Sends the poller's frames; unit tests pass one of their own. */
export interface FrameSender {
  /** Sends `count` messages from `address` on; returns the number sent, or a negative errno. */
  send(address: number, count: number): number;
}

/** What the poller knows of a frame that the socket did not take. */
export interface UnsentFrame {
  /** Where its virtio_net_hdr lies. */
  memory: Uint8Array;
  at: number;
  /** Bytes from the Ethernet header on. */
  length: number;
}

export class PacketSocket implements FrameSender, Disposable {
  private constructor(readonly fd: number) {}

  /**
   * Opens the socket on an interface of the calling thread's namespace. Needs CAP_NET_RAW. Its frames carry `mark`, by
   * which `tx` recognizes those that it has to turn round; 0 for a peer's socket.
   */
  static open(ifindex: number, mark: number): PacketSocket {
    const fd = openLinkSocket();
    setSocketOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    setSocketOption(fd, SOL_SOCKET, SO_MARK, mark);
    setSocketOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES);
    bindToLink(fd, ifindex);
    return new PacketSocket(fd);
  }

  /** The same socket in another thread; closing it is left to the thread that opened it. */
  static borrow(fd: number): FrameSender {
    return { send: (address, count) => sendMessages(fd, address, count, MSG_DONTWAIT) };
  }

  send(address: number, count: number): number {
    return sendMessages(this.fd, address, count, MSG_DONTWAIT);
  }

  /** The socket's number, which no other socket of this boot has or had. */
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

// The backlogs in which received frames wait for their CPU (net.core.netdev_max_backlog).

/** Frames that the machine has ever dropped because a backlog was full; 0 where the kernel does not tell. */
export function backlogDropsOfMachine(): number {
  try {
    const lines = fs.readFileSync('/proc/net/softnet_stat', 'utf8').trim().split('\n');
    // One line per CPU; the second column is softnet_data.dropped.
    return lines.reduce((sum, line) => sum + parseInt(line.split(' ')[1] ?? '0', 16), 0);
  } catch {
    return 0;
  }
}
