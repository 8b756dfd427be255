// SPDX-License-Identifier: MIT
/**
 * Says in the log how many frames were refused on their way back because somebody changed the interface under them: set it
 * down, or lowered its MTU. Looks once a second, and adds up what goes on for longer.
 */

/** Looks after which a number that still grows is said all the same. */
const LOOKS_MAX = 10;

export class RefusalNews {
  private said: number;
  private last: number;
  private looks = 0;

  constructor(
    private readonly refused: () => number,
    private readonly say: (frames: number) => void,
  ) {
    this.said = this.last = refused();
  }

  look(): void {
    const now = this.refused();
    const grows = now !== this.last;
    this.last = now;
    if (now === this.said || (grows && ++this.looks < LOOKS_MAX)) return;
    this.say(now - this.said);
    this.said = now;
    this.looks = 0;
  }
}
