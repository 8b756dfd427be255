// SPDX-License-Identifier: MIT
/**
 * What is kept of the faults of an attachment beside the rules in place: the files of their log, which the thread with
 * the faults writes, and the words of the latest sets of rules, which a recorder asks for.
 */
import * as fs from 'node:fs';

import { FAULT_SETS } from '../datapath/outcomes';
import { faultLogFiles } from '../state/store';

const { O_WRONLY, O_CREAT, O_APPEND, O_NOFOLLOW } = fs.constants;

/** Sets of rules whose words are kept: a recorder asks within milliseconds. */
const SETS_KEPT = 16;

export class FaultLogFiles {
  private fds: number[] | null = null;
  private readonly rules = new Map<number, readonly string[]>();
  private lastSet = 0;

  constructor(private readonly id: string) {}

  /** The descriptors, opened when they are first needed. Throws what open(2) says. */
  open(): readonly number[] {
    return (this.fds ??= faultLogFiles(this.id).map((file) =>
      fs.openSync(file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600),
    ));
  }

  /** A number for a new set of rules. */
  nextSet(): number {
    return (this.lastSet = (this.lastSet + 1) % FAULT_SETS);
  }

  /** Keeps the words of a set of rules, as recordings name them. */
  remember(set: number, rules: readonly string[]): void {
    this.rules.set(set, rules);
    const [oldest] = this.rules.keys();
    if (this.rules.size > SETS_KEPT && oldest !== undefined) this.rules.delete(oldest);
  }

  /** Those words; null if they are not known, or not any more. */
  rulesOf(set: number): readonly string[] | null {
    return this.rules.get(set) ?? null;
  }

  close(): void {
    for (const fd of this.fds ?? []) fs.closeSync(fd);
    this.fds = null;
  }
}
