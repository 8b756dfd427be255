// SPDX-License-Identifier: MIT
/**
 * Grants credit to the waiting room: one netlink message changes the burst of its tbf qdisc,
 * which refills the bucket to exactly that (tbf_change in net/sched/sch_tbf.c), and one small
 * frame sets the qdisc going, because a change by itself does not.
 */
import * as fs from 'node:fs';

import { receiveBytes, sendBytes, setSocketOption } from '../native/libc';
import { bindToLink, openLinkSocket } from '../native/link-socket';
import { attribute, message, numberAttribute, textAttribute } from '../link/message';
import { openRtnetlink } from '../link/rtnetlink';
import { ROOM_BYTES } from './credit';

export const RTM_NEWQDISC = 36;
const NLM_F_REQUEST_ACK = 0x1 | 0x4;
const NLMSG_ERROR = 2;
const NLMSG_BYTES = 16; // struct nlmsghdr
const TC_H_ROOT = 0xffffffff;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_TBF_PARMS = 1;
const TCA_TBF_BURST = 6;
const TC_LINKLAYER_ETHERNET = 1;
/** IEEE 802 local experimental EtherType 1. */
const KICK_ETHERTYPE = 0x88b5;
export const KICK_BYTES = 60;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
/**
 * Kicks wait in the room behind the held frames. A queue of a few packets takes a grant for each
 * frame, so there are as many of them: 80,000 fit, and with the buffer full a grant comes a
 * millisecond later.
 */
const KICK_BUFFER_BYTES = 32 << 20;

/** Descriptors of the room's two sockets; they are opened in the hidden namespace. */
export interface RoomSockets {
  netlinkFd: number;
  packetFd: number;
}

/** Opens the sockets on the room's entry; runs in the hidden namespace. The caller closes them. */
export function openRoomSockets(ifindex: number): RoomSockets {
  const netlinkFd = openRtnetlink();
  const packetFd = openLinkSocket();
  setSocketOption(packetFd, SOL_SOCKET, SO_SNDBUFFORCE, KICK_BUFFER_BYTES);
  bindToLink(packetFd, ifindex);
  return { netlinkFd, packetFd };
}

export function closeRoomSockets(sockets: RoomSockets): void {
  fs.closeSync(sockets.netlinkFd);
  fs.closeSync(sockets.packetFd);
}

/** What the poller needs of a room; a unit test hands in a made-up one. */
export interface Room {
  /** Fills the bucket with `bytes`; false if the kernel refused. */
  fill(bytes: number): boolean;
  /** Sets the qdisc going: what the bucket pays for leaves. */
  kick(): void;
}

export class WaitingRoom implements Room {
  private readonly message: Uint8Array;
  private readonly burstAt: number;
  private readonly reply = new Uint8Array(256);
  private readonly replyView = new DataView(this.reply.buffer);
  private readonly view: DataView;
  private readonly kickFrame = new Uint8Array(KICK_BYTES);

  /** `sockets` are borrowed; `frameCost` is the overhead with which the qdisc was made. */
  constructor(
    private readonly sockets: RoomSockets,
    ifindex: number,
    frameCost: number,
  ) {
    const { body, burstAt } = roomQdisc(ifindex, frameCost, 0);
    this.message = new Uint8Array(NLMSG_BYTES + body.length);
    this.message.set(body, NLMSG_BYTES);
    this.burstAt = NLMSG_BYTES + burstAt;
    this.view = new DataView(this.message.buffer);
    this.view.setUint32(0, this.message.length, true);
    this.view.setUint16(4, RTM_NEWQDISC, true);
    this.view.setUint16(6, NLM_F_REQUEST_ACK, true);
    new DataView(this.kickFrame.buffer).setUint16(12, KICK_ETHERTYPE);
  }

  fill(bytes: number): boolean {
    this.view.setUint32(this.burstAt, bytes, true);
    if (sendBytes(this.sockets.netlinkFd, this.message) < 0) return false;
    const received = receiveBytes(this.sockets.netlinkFd, this.reply);
    return received >= 20 && this.replyView.getUint16(4, true) === NLMSG_ERROR && this.replyView.getInt32(16, true) === 0;
  }

  kick(): void {
    sendBytes(this.sockets.packetFd, this.kickFrame);
  }
}

/**
 * What RTM_NEWQDISC is told of the tbf at the root of an interface, to make or to change it: behind the nlmsghdr. A new
 * one has the smallest burst, roomFrameMax(); each grant fills in another.
 */
export function roomQdisc(ifindex: number, frameCost: number, burst: number): { body: Uint8Array; burstAt: number } {
  const parms = new DataView(new ArrayBuffer(36)); // struct tc_tbf_qopt
  parms.setUint8(1, TC_LINKLAYER_ETHERNET);
  parms.setUint16(2, frameCost, true); // rate.overhead
  parms.setUint32(8, 1, true); // rate: a byte a second, the least there is: grants are what lets frames out
  parms.setUint32(24, ROOM_BYTES, true); // limit
  const options = attribute(TCA_OPTIONS, attribute(TCA_TBF_PARMS, new Uint8Array(parms.buffer)), numberAttribute(TCA_TBF_BURST, burst));
  const TCMSG_BYTES = 20; // struct tcmsg
  const body = message(new Uint8Array(TCMSG_BYTES), textAttribute(TCA_KIND, 'tbf'), options);
  const view = new DataView(body.buffer);
  view.setInt32(4, ifindex, true);
  view.setUint32(8, ROOM_HANDLE, true);
  view.setUint32(12, TC_H_ROOT, true);
  return { body, burstAt: body.length - 4 };
}

/** `1:` */
const ROOM_HANDLE = 0x10000;
