// SPDX-License-Identifier: MIT
import { libc } from './ffi';

const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
/** Bytes of sigset_t in glibc; musl has the same. The kernel uses 8 of them. */
const SIGSET_SIZE = 128;

/** SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV: they report a fault of the thread itself. */
const FAULTS = [4, 5, 6, 7, 8, 11];

const all = new Uint8Array(new ArrayBuffer(SIGSET_SIZE)).fill(0xff);
for (const signal of FAULTS) all[(signal - 1) >> 3]! &= ~(1 << ((signal - 1) & 7));

/**
 * Calls a function while this thread, and no other, receives no signals; those that arrive are delivered afterwards.
 * The verifier gives up with EAGAIN when a signal is pending (kernel/bpf/verifier.c, do_check), and a profiler sends hundreds a second.
 */
export function withoutSignals<Result>(call: () => Result): Result {
  const previous = new Uint8Array(new ArrayBuffer(SIGSET_SIZE));
  if (libc.sigprocmask(SIG_BLOCK, all, previous) !== 0) return call();
  try {
    return call();
  } finally {
    libc.sigprocmask(SIG_SETMASK, previous, null);
  }
}
