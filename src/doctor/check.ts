// SPDX-License-Identifier: MIT
/** The result of one check of `vnet-bpf doctor`. */

/** `warn` is for what works less well, and for what this user may not see. */
export type Status = 'ok' | 'warn' | 'fail';

export interface Check {
  /** What was checked; stable. */
  name: string;
  status: Status;
  /** What was found, in words. */
  found: string;
  /** How to fix it; null where nothing has to be done. */
  fix: string | null;
}

export interface Group {
  name: string;
  checks: Check[];
}

export const ok = (name: string, found: string): Check => ({ name, status: 'ok', found, fix: null });
export const warn = (name: string, found: string, fix: string): Check => ({ name, status: 'warn', found, fix });
export const fail = (name: string, found: string, fix: string): Check => ({ name, status: 'fail', found, fix });

export const isRoot = (): boolean => process.geteuid?.() === 0;

/** The result for what only root can see. */
export const cannotCheck = (name: string): Check => ({
  name,
  status: 'warn',
  found: 'not checked: this needs root',
  fix: null,
});

/** Runs a check that may throw; an error becomes a failed check. */
export function attempt(name: string, fix: string, check: () => Check): Check {
  try {
    return check();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return fail(name, text.replace(/\s+/g, ' '), fix);
  }
}
