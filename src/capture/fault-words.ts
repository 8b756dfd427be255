// SPDX-License-Identifier: MIT
/** The words of rules of faults, for the comments of a recording. The outcomes ring has only their numbers. */
import type { ControlClient } from '../control/socket';
import { ruleOfFault } from '../datapath/outcomes';
import { printable } from '../printable';

/** What stands for a rule whose words the controller no longer knows. */
const UNKNOWN = 'a rule of faults';

export class FaultWords {
  private readonly sets = new Map<number, readonly string[]>();

  constructor(private readonly client: ControlClient) {}

  /** The rules for values of faultOf(). Asks the controller about a set of rules once; never rejects. */
  async of(faults: readonly number[]): Promise<string[]> {
    const rules: string[] = [];
    for (const { set, rule } of faults.map(ruleOfFault)) rules.push((await this.rulesOf(set))[rule] ?? UNKNOWN);
    return rules;
  }

  private async rulesOf(set: number): Promise<readonly string[]> {
    const known = this.sets.get(set);
    if (known) return known;
    // Without an answer, it is asked again for the next frame.
    const answer = await this.client.ask({ order: 'fault-rules', set }).catch(() => null);
    if (!Array.isArray(answer)) return [];
    const rules = answer.map((rule) => printable(String(rule)));
    this.sets.set(set, rules);
    return rules;
  }
}
