// SPDX-License-Identifier: MIT
/** Changes the control words as the programs do when a frame is held (bpf/queue.h, bpf/vnet.bpf.c), for unit tests. */
import { GATE_STOPPED } from '../../src/datapath/queue-gate';
import type { SharedWords } from '../../src/datapath/shared-memory';
import { CONTROL } from '../../src/layout';
import { roomFrameCost } from '../../src/link/credit';

interface Controlled {
  control: SharedWords;
}

const add = ({ control }: Controlled, counter: keyof typeof CONTROL, by: number): void =>
  control.set64(CONTROL[counter], control.get64(CONTROL[counter]) + by);

/** What `tx` does with a frame of `segments` segments that has to wait. */
export function sendToRoom(nic: Controlled, segments = 1): void {
  nic.control.set32(CONTROL.gate, ((nic.control.get32(CONTROL.gate) + 2 * segments) | GATE_STOPPED) >>> 0);
  add(nic, 'heldSent', 1);
  add(nic, 'heldSegments', segments);
}

/** What `sink` does with a frame that arrives. */
export function arrive(nic: Controlled, segments = 1): void {
  add(nic, 'heldIn', 1);
  add(nic, 'heldArrived', segments);
}

/** What `release` does with frames that come out. */
export function comeOut(nic: Controlled, frames: number): void {
  add(nic, 'heldOut', frames);
  add(nic, 'heldCost', frames * (100 + roomFrameCost(0)));
}
