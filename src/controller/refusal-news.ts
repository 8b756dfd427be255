// SPDX-License-Identifier: MIT
/**
 * Says in the log how many frames were refused on the reinject path because somebody changed the interface under them: set it
 * down, or lowered its MTU. Looks once a second; what is refused while nothing has changed is for `stats` alone.
 */

/** Looks after a change that may find frames which it has cost. */
const LOOKS = 15;
/** Looks after which a number that still grows is said all the same. */
const LOOKS_WHILE_IT_GROWS = 10;

/** Frames refused so far, by reason. */
export type Refused = Readonly<Record<string, number>>;

export class RefusalNews {
  private said: Refused;
  private last: Refused;
  private left = 0;
  private growing = 0;

  constructor(
    private readonly refused: () => Refused,
    /** How many, and by which reasons: "31 frames: down 30, toolong 1". */
    private readonly say: (what: string) => void,
  ) {
    this.said = this.last = refused();
  }

  /** The interface has changed just now, after the look before. */
  changed(): void {
    this.left = LOOKS;
  }

  look(): void {
    const now = this.refused();
    const grows = difference(now, this.last) !== '';
    this.last = now;
    if (this.left === 0) this.said = now;
    else this.left--;
    const news = difference(now, this.said);
    if (news === '' || (grows && this.left > 0 && ++this.growing < LOOKS_WHILE_IT_GROWS)) return;
    this.say(news);
    this.said = now;
    this.growing = 0;
  }
}

function difference(now: Refused, before: Refused): string {
  const more = Object.entries(now)
    .map(([reason, count]) => [reason, count - (before[reason] ?? 0)] as const)
    .filter(([, count]) => count > 0);
  if (more.length === 0) return '';
  return `${more.reduce((sum, [, count]) => sum + count, 0)} frames: ${more.map((each) => each.join(' ')).join(', ')}`;
}
