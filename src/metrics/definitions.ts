// SPDX-License-Identifier: MIT
/**
 * What each number of `stats --json` is called among metrics. Names and units are Prometheus' own conventions:
 * counters end in `_total`, gauges do not. The type asks for every number there is, so a new one cannot be forgotten.
 */
import type { Stats } from '../datapath/stats';

export interface Metric {
  name: string;
  kind: 'counter' | 'gauge';
  help: string;
  /** Several numbers that are one metric are told apart by it. */
  reason?: string;
}

type Numbers<T> = { [K in keyof T & string]: NonNullable<T[K]> extends string ? never : K }[keyof T & string];
/** `tx.packets`, `stray`; all of `refused` is one metric, whatever reasons a version adds. */
export type NumberPath = {
  [K in Numbers<Stats>]: K extends 'refused' ? K : Stats[K] extends object ? `${K}.${keyof Stats[K] & string}` : K;
}[Numbers<Stats>];

const counter = (name: string, help: string, reason?: string): Metric => ({
  name: `vnet_bpf_${name}_total`,
  kind: 'counter',
  help,
  ...(reason === undefined ? {} : { reason }),
});
const gauge = (name: string, help: string): Metric => ({ name: `vnet_bpf_${name}`, kind: 'gauge', help });

const LOST_ON_THE_WAY = 'Frames that ended behind the transmit hook: a hook or the debugger dropped them, or they were lost while they waited.';

export const METRICS: Readonly<Record<NumberPath, Metric>> = {
  'tx.packets': counter('tx_packets', 'Frames that reached the transmit hook, refused ones included.'),
  'tx.bytes': counter('tx_bytes', 'Bytes of the frames that reached the transmit hook.'),
  'rx.packets': counter('rx_packets', 'Frames that came back.'),
  'rx.bytes': counter('rx_bytes', 'Bytes of the frames that came back.'),
  'queue.capacityBytes': gauge('queue_capacity_bytes', 'Size of the ring buffer.'),
  'queue.usedBytes': gauge('queue_used_bytes', 'Bytes in the ring buffer now.'),
  'queue.packets': gauge('queue_packets', 'Frames in the queue now.'),
  'queue.capacityPackets': gauge('queue_capacity_packets', 'Limit of the queue in frames; absent where there is none.'),
  'queue.lowWatermarkBytes': gauge('queue_low_watermark_bytes', 'A stopped queue wakes at or below this.'),
  'queue.stopped': gauge('queue_stopped', 'Whether the queue is stopped now.'),
  'queue.stops': counter('queue_stops', 'How often the queue stopped.'),
  'queue.wakes': counter('queue_wakes', 'How often the queue woke.'),
  'queue.queues': gauge('queues', 'Queues that the interface has.'),
  'queue.largestFrame': gauge('largest_frame_bytes', 'Largest frame seen.'),
  'held.now': gauge('held_now_packets', 'Frames that wait for room now.'),
  'held.total': counter('held_packets', 'Frames that ever had to wait for room.'),
  'held.dropped': counter('dropped_packets', LOST_ON_THE_WAY, 'held'),
  'held.again': counter('held_again_packets', 'Frames that had to wait a second time; anything but 0 is a bug.'),
  'held.grants': counter('held_grants', 'How often waiting frames were given room.'),
  refused: counter('refused_packets', 'Frames that did not come back, by reason.'),
  'hooks.dropped': counter('dropped_packets', LOST_ON_THE_WAY, 'hook'),
  'hooks.injected': counter('injected_packets', 'Frames that a hook, the debugger or the library made.'),
  'hooks.errors': counter('hook_errors', 'Errors and wrong answers of hooks.'),
  'poll.polls': counter('polls', 'Polls of the ring.'),
  'poll.budgetExhausted': counter('poll_budget_exhausted', 'Polls that found more than the budget.'),
  'poll.sleeps': counter('poll_sleeps', 'How often the poller slept.'),
  'poll.wakeups': counter('poll_wakeups', 'How often a frame woke the poller.'),
  'poll.lostWakeups': counter('poll_lost_wakeups', 'Frames found by time-out that nobody had announced; anything but 0 is a bug.'),
  'poll.merged': counter('merged_packets', "Frames that crossed back as part of another's packet."),
  'reinject.retries': counter('reinject_retries', 'Sends that were tried again because the kernel had no room just then.'),
  'reinject.errors': counter('reinject_errors', 'Frames that the kernel would never take.'),
  'impair.lost': counter('dropped_packets', LOST_ON_THE_WAY, 'impair'),
  'impair.waiting': gauge('impair_waiting_packets', 'Frames that an impairment delays now.'),
  'impair.duplicated': counter('impair_duplicated_packets', 'Frames that came back more often than they were sent.'),
  'behind.missing': gauge('behind_missing_segments', 'Frames that the transmit hook let go and that the hidden peer has not seen: on their way, dropped or sent elsewhere by others.'),
  'behind.copies': gauge('behind_copied_segments', 'Frames that the hidden peer saw beyond those that the transmit hook let go.'),
  'behind.lost': gauge('behind_lost_packets', 'Of the missing, those that do not come back: superpackets that the kernel was to cut up.'),
  stray: counter('stray_packets', 'Frames that reached the hidden peer without our mark: sent past the transmit hook, or others erased it.'),
  pid: gauge('controller_pid', 'Process of the controller.'),
};

/** What is not a number in `stats --json`. */
export const INFO: Metric = gauge('info', 'Version, back end and kind of attachment.');
export const STATE: Metric = gauge('state', 'The state of the interface: 1 for the one that it is in.');
