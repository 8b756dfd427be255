// SPDX-License-Identifier: MIT
/** The worker thread of one interface: maps what the main thread opened, and runs the loop. */
import { parentPort, workerData } from 'node:worker_threads';

import { MappedMemory, RingBuffer, RingWaiter } from 'libbpf-ts';

import { allowedCpus, bindToCpu } from '../native/libc';
import { Batch } from './batch';
import { roomFrameCost } from './credit';
import { BATCH, CONTROL } from './layout';
import { PacketSocket } from './packet-socket';
import { runPollLoop } from './poll-loop';
import { Poller } from './poller';
import { QueueGate, type GateLimits } from './queue-gate';
import { SharedWords } from './shared-memory';
import { WaitingRoom, type RoomSockets } from './waiting-room';

export interface PollWorkerData {
  /** Any number that differs between interfaces: spreads the pollers over the CPUs. */
  spread: number;
  /** Descriptors of the main thread, which keeps them open until the worker has ended. */
  ringFd: number;
  controlFd: number;
  batchFd: number;
  socketFd: number;
  budget: number;
  limits: GateLimits;
  /** Sockets and entry of the waiting room; null where frames are refused instead of held. */
  room: (RoomSockets & { ifindex: number }) | null;
  command: SharedArrayBuffer;
}

export type PollWorkerMessage = { kind: 'ready'; wakeFd: number } | { kind: 'queue' } | { kind: 'stalled' } | { kind: 'ended' };

const IOVEC_BYTES = 16;

function main(data: PollWorkerData): void {
  const port = parentPort;
  if (!port) throw new Error('poll-worker runs as a worker thread');
  using ring = new RingBuffer(data.ringFd);
  using controlMemory = MappedMemory.map({ fd: data.controlFd, length: CONTROL.size });
  using batchMemory = MappedMemory.map({ fd: data.batchFd, length: BATCH.messages + BATCH.max * BATCH.messageBytes });
  using iovecs = MappedMemory.map({ length: data.budget * IOVEC_BYTES });
  using waiter = new RingWaiter(data.ringFd);
  const control = new SharedWords(controlMemory.buffer, 0, CONTROL.size);
  // As a NIC's interrupt is bound to a CPU: frames wait in the backlog of the CPU that sent them
  // (netif_rx), so a poller that moved in the middle of a flow would overtake its own frames.
  const cpus = allowedCpus();
  bindToCpu(cpus[data.spread % cpus.length] as number);
  const room = data.room && new WaitingRoom(data.room, data.room.ifindex, roomFrameCost(data.limits.queuePackets));
  const gate = new QueueGate(control, ring.reader, data.limits, room);
  const poller = new Poller(
    {
      ring: ring.reader,
      data: ring.data,
      dataAddress: ring.dataAddress,
      control,
      batch: new Batch(batchMemory, iovecs, data.budget),
      sender: PacketSocket.borrow(data.socketFd),
      gate,
    },
    data.budget,
  );
  port.postMessage({ kind: 'ready', wakeFd: waiter.wakeFd } satisfies PollWorkerMessage);
  runPollLoop({
    poller,
    ring: ring.reader,
    control,
    waiter,
    command: new Int32Array(data.command),
    gate,
    onQueue: () => port.postMessage({ kind: 'queue' } satisfies PollWorkerMessage),
    onStalled: () => port.postMessage({ kind: 'stalled' } satisfies PollWorkerMessage),
  });
  port.postMessage({ kind: 'ended' } satisfies PollWorkerMessage);
}

main(workerData as PollWorkerData);
