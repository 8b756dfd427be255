// SPDX-License-Identifier: MIT
/** The verifier: where it writes its log, and what its refusal of a program says. */
import { BpfError } from './errors';

/** Lines that close every log and explain nothing. */
const epilogue = /^(processed \d+ insns|verification time|stack depth|insns processed|-- (BEGIN|END) |mark_precise)/;

/** What Linux 7.3 adds behind the complaint: a report of several parts, with advice at its end. */
const report = /^Verification failed:/;

/**
 * One line that says why the verifier refused a program: the last line that is neither a statistic nor part of a report,
 * and how many others there are.
 *
 * @param log the verifier log as the kernel wrote it
 */
export function summarizeLog(log: string): string {
  const lines = log
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (lines.length === 0) return 'refused without a log';
  const reportAt = lines.findIndex((line) => report.test(line));
  let index = (reportAt > 0 ? reportAt : lines.length) - 1;
  while (index > 0 && epilogue.test(lines[index]!)) index--;
  const omitted = lines.length - 1;
  return omitted === 0 ? lines[index]! : `${lines[index]!} (${omitted} line${omitted === 1 ? '' : 's'} omitted)`;
}

/** The kernel's verifier refused a program. */
export class VerifierError extends BpfError {
  override readonly name = 'VerifierError';
  /** The whole verifier log. */
  readonly log: string;
  /** Name of the program that was refused. */
  readonly program: string;

  constructor(program: string, log: string, errno: number) {
    super(`load program ${program}: ${summarizeLog(log)}`, {
      code: 'BPF_VERIFIER',
      errno,
      operation: 'bpf(BPF_PROG_LOAD)',
    });
    this.program = program;
    this.log = log;
  }
}
