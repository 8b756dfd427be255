// SPDX-License-Identifier: MIT
// Runs jobs side by side whose output comes one after the other: that of the first as it happens, that of the
// others kept until it is their turn.

/** Where a job puts what it has to say. */
export class Turn {
  #waiting: (() => void)[] | undefined = [];

  /** Now, if it is this job's turn, otherwise as soon as it is. */
  say(what: () => void): void {
    if (this.#waiting) this.#waiting.push(what);
    else what();
  }

  begin(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const what of waiting) what();
  }
}

/** Starts the jobs in their order, `atOnce` at a time; resolves when all have ended. */
export async function inTurns(jobs: readonly ((turn: Turn) => Promise<void>)[], atOnce: number): Promise<void> {
  const turns = jobs.map(() => new Turn());
  const ended = jobs.map(() => false);
  const passOn = () => {
    const first = ended.indexOf(false);
    // Everything up to the first that still runs may speak.
    for (const turn of turns.slice(0, first < 0 ? turns.length : first + 1)) turn.begin();
  };
  passOn();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < jobs.length; index = next++) {
      await jobs[index]!(turns[index]!);
      ended[index] = true;
      passOn();
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, jobs.length) }, worker));
}
