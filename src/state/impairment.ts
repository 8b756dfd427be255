// SPDX-License-Identifier: MIT
/** What the record of an attachment says about its impairment. */

/** What `vnet-bpf impair` has done to the reinject path, for readers of the counters. */
export interface ImpairmentRecord {
  /** The words of the impairment in place; null when it was removed. */
  words: string[] | null;
  /**
   * CONTROL.enobufs when the words were put in place: frames for which netem has had no space since then came a second
   * time.
   */
  enobufs: number;
  /** netem's own counter of drops at that time. */
  drops: number;
  /** Number of frames that were dropped before. */
  lost: number;
  /** refused.backlog before the first impairment. */
  backlog: number;
  /** What impairments did without netem, as rules of faults; null if there were none. */
  byRules: ImpairmentByRules | null;
}

/** The counters of hooks count what rules do, too; these say which part of them is that of impairments. */
export interface ImpairmentByRules {
  /** Frames that were dropped and duplicated until the one in place began. */
  dropped: number;
  injected: number;
  /** CONTROL.hooksDropped and hooksInjected when that began; null if none is in place. */
  since: { dropped: number; injected: number } | null;
}

/** What does an impairment: the kernel's netem, or rules of faults; null if there is none. */
export const impairedBy = (record: ImpairmentRecord | null): 'netem' | 'faults' | null =>
  record?.words ? (record.byRules?.since ? 'faults' : 'netem') : null;
