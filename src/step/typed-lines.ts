// SPDX-License-Identifier: MIT
/** Lines of a stream, typed or piped, taken one at a time. */
import * as readline from 'node:readline';

import type { Lines } from './stepper';

export class TypedLines implements Lines {
  private readonly waiting: string[] = [];
  private ended = false;
  private wake: () => void = () => undefined;

  constructor(input: NodeJS.ReadableStream) {
    // A terminal that has gone types no more.
    input.on('error', () => this.end());
    readline
      .createInterface({ input })
      .on('line', (line) => {
        this.waiting.push(line);
        this.wake();
      })
      .on('close', () => this.end());
  }

  private end(): void {
    this.ended = true;
    this.wake();
  }

  get ready(): boolean {
    return this.waiting.length > 0 || this.ended;
  }

  async next(): Promise<string | null> {
    while (!this.ready) await new Promise<void>((resolve) => (this.wake = resolve));
    return this.waiting.shift() ?? null;
  }
}
