// SPDX-License-Identifier: MIT
/**
 * Keeps a polling thread on one CPU, as a NIC's interrupt is: frames wait in the backlog of the CPU that sent them
 * (netif_rx in net/core/dev.c), so a thread that moved in the middle of a flow would overtake its own frames.
 */
import { allowedCpus, bindToCpu } from '../native/libc';

/** Milliseconds between looks at what other programs, such as taskset(1) and tuned, have done to the thread. */
export const CPU_LOOK_MS = 1000;

export class OneCpu {
  private due = 0;

  /** Binds the calling thread to one of the CPUs that it may use; `spread` differs between threads. */
  constructor(private readonly spread: number) {
    this.bind();
  }

  /** Binds the thread again if it may run on several CPUs by now. Looks at most once in CPU_LOOK_MS. */
  keep(now: number): void {
    if (now < this.due) return;
    this.due = now + CPU_LOOK_MS;
    this.bind();
  }

  private bind(): void {
    const cpus = allowedCpus();
    if (cpus.length > 1) bindToCpu(cpus[this.spread % cpus.length] as number);
  }
}
