// SPDX-License-Identifier: MIT
/**
 * Keeps the routing rules of looped addresses in place while other programs add, remove and flush rules, and keeps the
 * interface in the link group that these rules refer to. Every repair is logged. There is no fight against a program
 * that undoes each repair: the interface leaves the group then, and its addresses are answered at once, like those of
 * any other interface.
 */
import { keepLocalTable, keepRules } from '../link/hairpin';
import { linkByIndex, setGroup, type Link } from '../link/links';
import { LOOP_GROUP, type Change } from '../link/rules';
import type { HairpinRecord } from '../state/store';
import { Fights } from './supervisor';

export interface Kept {
  /** The interface's group when it is not looped. */
  usualGroup: number;
  log: (text: string) => void;
  /** Monotonic time in milliseconds. */
  now: () => number;
}

export class RuleKeeper {
  private readonly fights: Fights;
  /** Why the interface's addresses are not looped at the moment; null if they are. */
  private off: string | null = null;

  constructor(private readonly kept: Kept) {
    this.fights = new Fights(kept.now);
  }

  /** Looks and repairs; runs in the interface's namespace. */
  look(ifindex: number, hairpin: HairpinRecord): void {
    const link = linkByIndex(ifindex);
    if (!link) return;
    if (this.fights.isPaused) {
      keepLocalTable(hairpin);
      return this.stop(link, this.off ?? '');
    }
    const families = keepRules(hairpin);
    const blocked = families.find((each) => each.blocked)?.blocked;
    if (blocked) return this.stop(link, `there is no place before the routing rule of priority ${blocked.priority}`);
    const done = families.flatMap((each) => repairOf(each));
    if (this.off === null && link.group !== LOOP_GROUP)
      done.push(`somebody put it into link group ${link.group}: it is in ${LOOP_GROUP} again`);
    const pause = done.length > 0 ? this.fights.repair() : null;
    if (pause !== null)
      return this.stop(
        link,
        `somebody keeps changing its routing rules or its link group; the next try is in ${pause} min`,
      );
    if (link.group !== LOOP_GROUP) setGroup(link.ifindex, LOOP_GROUP);
    for (const what of new Set(done)) this.kept.log(`${link.name}: ${what}`);
    if (this.off !== null) this.kept.log(`${link.name}: its addresses are looped again`);
    this.off = null;
  }

  private stop(link: Link, why: string): void {
    if (link.group === LOOP_GROUP) setGroup(link.ifindex, this.kept.usualGroup);
    if (this.off !== why) this.kept.log(`${link.name}: its addresses are not looped any more: ${why}`);
    this.off = why;
  }
}

/** Describes what was done about the rules of a family. */
function repairOf({ family, add, remove, behind }: Change & { family: 4 | 6 }): string[] {
  const of = `IPv${family}`;
  if (behind)
    return [
      `somebody's rule of priority ${behind.priority} came before its routing rules of ${of}: they are before it again`,
    ];
  if (add.length > 0 && remove.length === 0) return [`somebody removed routing rules of ${of}: they are there again`];
  if (add.length + remove.length > 0) return [`its routing rules of ${of} are where they belong again`];
  return [];
}
