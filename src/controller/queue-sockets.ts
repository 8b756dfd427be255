// SPDX-License-Identifier: MIT
/**
 * Prepares what the poller of each queue needs: its maps, its limits, and sockets opened in the namespace where frames
 * are reinjected.
 */
import * as fs from 'node:fs';

import { PacketSocket } from '../datapath/packet-socket';
import { merges, queuesOf, type Datapath } from '../datapath/programs';
import type { QueueControls } from '../datapath/queue-gate';
import type { PollRequest } from '../datapath/worker-queue';
import { CONTROL } from '../layout';
import { closeRoomSockets, openRoomSockets, roomFrameMax, type RoomSockets } from '../link/credit';
import type { Netns } from '../link/netns';
import { openRtnetlink } from '../link/rtnetlink';
import { pollOptionsOf } from '../options/attach-options';
import type { Attachment } from '../state/store';

export class QueueSockets {
  /** The packet socket of each queue. */
  private readonly sockets: readonly PacketSocket[];
  /** An rtnetlink socket for each queue, to query the peer and the interface at its other end. */
  private readonly linkSockets: readonly number[];
  /** The sockets of each queue's waiting room; empty if frames are refused instead of held. */
  private readonly roomSockets: readonly RoomSockets[];

  constructor(
    private readonly attachment: Attachment,
    controls: QueueControls,
    peerNetns: Netns,
  ) {
    const { peer, ifindex, reinjectMark, rooms } = attachment;
    const queues = Array.from({ length: attachment.queues });
    this.sockets = peerNetns.run(() => queues.map(() => PacketSocket.open(peer?.ifindex ?? ifindex, reinjectMark)));
    if (!peer)
      this.sockets.forEach(({ cookie }, queue) => controls.queues[queue]?.set64(CONTROL.reinjectCookie, cookie));
    this.linkSockets = peerNetns.run(() => queues.map(openRtnetlink));
    this.roomSockets = peerNetns.run(() => rooms.map(({ exit }) => openRoomSockets(exit.ifindex)));
  }

  /** The request for the poller of each queue, without the shared command word. */
  requests({ maps }: Datapath): Omit<PollRequest, 'command'>[] {
    const { attachment } = this;
    const { id, ringBytes, queuePackets, lowWatermarkBytes, lowWatermarkPackets, peer } = attachment;
    const options = pollOptionsOf(attachment);
    const frameMax = roomFrameMax(attachment.superpacketBytes);
    const limits = {
      ringBytes,
      frameMax,
      queuePackets,
      lowWatermarkBytes,
      lowWatermarkPackets: queuePackets > 0 ? lowWatermarkPackets : Infinity,
    };
    const queues = queuesOf(maps);
    return queues.map(({ queue, ring, control, batch }) => ({
      key: id,
      queue,
      ringFd: ring.fd,
      controlFd: control.fd,
      batchFd: batch.fd,
      socketFd: (this.sockets[queue] as PacketSocket).fd,
      options,
      merges: merges(attachment),
      limits,
      peer: peer && { ifindex: peer.ifindex, socketFd: this.linkSockets[queue] as number },
      countsAlone: queues.length === 1,
      room: this.roomOf(queue),
    }));
  }

  /** A queue's waiting room; null if frames are refused instead of held. */
  private roomOf(queue: number): PollRequest['room'] {
    const room = this.attachment.rooms[queue];
    const sockets = this.roomSockets[queue];
    return room && sockets ? { ...sockets, ifindex: room.entry.ifindex } : null;
  }

  close(): void {
    for (const socket of this.sockets) socket.close();
    this.linkSockets.forEach((socket) => fs.closeSync(socket));
    this.roomSockets.forEach(closeRoomSockets);
  }
}
