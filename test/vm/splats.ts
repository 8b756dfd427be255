// SPDX-License-Identifier: MIT
// Finds kernel complaints in a console log. A test may pass while the kernel warns: that is still a failure.

interface Allowed {
  readonly pattern: RegExp;
  /** Kernel names it is allowed on; left out: all. */
  readonly kernels?: readonly string[];
  readonly why: string;
  /** ISO date after which the entry no longer counts, so that it is not forgotten. */
  readonly until: string;
}

/** Known complaints that are not ours. Every entry says why and until when. */
const allowed: readonly Allowed[] = [];

const complaints: readonly RegExp[] = [
  /Kernel panic/,
  /\bOops\b/,
  /\bBUG: /,
  /kernel BUG at/,
  /\bWARNING: /,
  /general protection fault/,
  /invalid opcode/,
  /unable to handle/i,
  /refcount_t: /,
  /(UBSAN|KASAN|KFENCE|KCSAN): /,
  /rcu: INFO: .*(stall|detected)/,
  /blocked for more than \d+ seconds/,
  /soft lockup|hard LOCKUP/,
  /unregister_netdevice: waiting for/,
  /(circular|recursive) locking|suspicious RCU usage|inconsistent lock state/,
  /Out of memory|oom-kill/,
  // From guest/crash: a process died of a native call; its parent may not have noticed.
  /^vm: crash: /,
];

/** Only what the kernel itself printed, by its timestamp: a test may write "WARNING:" to the console. */
const kernelLine = /\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? (.*)$/;

/** The kernel's complaints, at most one per line; `allowances` are the entries that were used. */
export function findSplats(
  console: string,
  kernel: string,
  today = new Date(),
): { splats: string[]; allowances: string[] } {
  const splats: string[] = [];
  const allowances = new Set<string>();
  for (const line of console.split(/\r?\n/)) {
    const message = kernelLine.exec(line)?.[1];
    if (message === undefined || !complaints.some((complaint) => complaint.test(message))) continue;
    const excuse = allowed.find(
      (entry) =>
        entry.pattern.test(message) &&
        (entry.kernels?.includes(kernel) ?? true) &&
        today <= new Date(`${entry.until}T23:59:59Z`),
    );
    if (excuse) allowances.add(`${excuse.pattern.source}: ${excuse.why} (until ${excuse.until})`);
    else splats.push(message);
  }
  return { splats, allowances: [...allowances] };
}
