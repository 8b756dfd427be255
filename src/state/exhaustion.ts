// SPDX-License-Identifier: MIT
/** What the machine has run out of: file systems without space and processes without descriptors fail in any place, and say the same in each. */
import { VnetError } from '../errors';

const REASONS: Readonly<Record<string, { why: string; hint: string }>> = {
  ENOSPC: { why: 'no space is left', hint: 'df -h and df -i tell which file system is full: /run has to have space and inodes' },
  EDQUOT: { why: 'the quota is used up', hint: 'quota -v tells which' },
  EROFS: { why: 'the file system is read-only', hint: 'as root: mount -o remount,rw /run' },
  EFBIG: { why: 'this process may write no larger files', hint: 'ulimit -f unlimited' },
  EMFILE: { why: 'this process may open no more files', hint: 'ulimit -n 1024' },
  ENFILE: { why: 'this machine may open no more files', hint: 'sysctl fs.file-nr tells how many are open; sysctl -w fs.file-max=N allows more' },
};

/** Where /proc/sys is read-only. */
const IN_A_CONTAINER = 'containers have /proc/sys read-only: docker run --privileged, or with --security-opt systempaths=unconfined';

/** The name of the errno, whether Node, koffi or libbpf-ts has thrown. */
function errnoNameOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const { code, errnoName } = error as { code?: unknown; errnoName?: unknown };
  return [code, errnoName].find((each): each is string => typeof each === 'string' && Object.hasOwn(REASONS, each)) ?? '';
}

export const isExhaustion = (error: unknown): boolean => errnoNameOf(error) !== '';

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The error as users are told it, if it is of this kind. `what` failed; else the file or the operation that the error names. */
export function exhaustion(cause: unknown, what?: string): VnetError | null {
  const reason = REASONS[errnoNameOf(cause)];
  if (!reason || cause instanceof VnetError) return null;
  const { path, operation } = cause as { path?: unknown; operation?: unknown };
  const named = [path, operation].find((each): each is string => typeof each === 'string' && each !== '') ?? messageOf(cause).replace(/: .*/s, '');
  const hint = named.startsWith('/proc/sys/') ? IN_A_CONTAINER : reason.hint;
  return new VnetError('STATE', what ?? named, `${reason.why} (${errnoNameOf(cause)})`, { hint, cause });
}
