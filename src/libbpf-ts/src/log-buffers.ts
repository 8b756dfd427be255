// SPDX-License-Identifier: MIT
import { MappedMemory } from './mapped-memory';

/** The most the verifier accepts on every kernel: UINT_MAX >> 8 (kernel/bpf/verifier.c, up to Linux 5.1). */
const LOG_SIZE = 16 * 1024 * 1024 - 4096;

/** One verifier log buffer for each program; pages cost memory only when the kernel writes a log. */
export class LogBuffers implements Disposable {
  /** Bytes of each buffer. */
  readonly size = LOG_SIZE;
  readonly #memory: MappedMemory | undefined;

  constructor(count: number) {
    this.#memory = count === 0 ? undefined : MappedMemory.map({ length: count * LOG_SIZE });
  }

  address(index: number): number {
    return this.#memory!.address + index * LOG_SIZE;
  }

  /** What the kernel wrote; empty if nothing. */
  text(index: number): string {
    const bytes = new Uint8Array(this.#memory!.buffer, index * LOG_SIZE, LOG_SIZE);
    return Buffer.from(bytes.subarray(0, Math.max(0, bytes.indexOf(0)))).toString('utf8');
  }

  [Symbol.dispose](): void {
    this.#memory?.close();
  }
}
