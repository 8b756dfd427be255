// SPDX-License-Identifier: MIT
/** Work that must not overlap, in the order in which it was asked for. */
export class Turns {
  private last: Promise<unknown> = Promise.resolve();

  /** Runs `body` once everything before it has ended, well or not. Resolves and rejects as it does. */
  take<T>(body: () => Promise<T>): Promise<T> {
    const result = this.last.then(body);
    this.last = result.catch(() => undefined);
    return result;
  }
}
