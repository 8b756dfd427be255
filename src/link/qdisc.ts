// SPDX-License-Identifier: MIT
/** Queueing disciplines of an interface, through tc(8) and its JSON; in the namespace of the calling thread. */
import { command } from '../native/command';

export interface Qdisc {
  kind: string;
  handle: string;
  /** Frames that wait in it. */
  qlen?: number;
  /** Their bytes. */
  backlog?: number;
}

export const qdiscsOf = (iface: string): Qdisc[] => JSON.parse(command('tc', ['-json', '-statistics', 'qdisc', 'show', 'dev', iface])) as Qdisc[];
