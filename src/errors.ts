// SPDX-License-Identifier: MIT
/** The errors that a user can meet, and the commands that their hints advise. `code` is stable; the wording is not. */
export type ErrorCode =
  | 'USAGE'
  | 'NOT_ROOT'
  | 'MISSING_CAPABILITY'
  | 'UNSUPPORTED'
  | 'NO_SUCH_NETNS'
  | 'INTERFACE_REFUSED'
  | 'ALREADY_ATTACHED'
  | 'NOT_ATTACHED'
  | 'BPFFS'
  | 'BPF_OBJECT'
  | 'LIBBPF_MISSING'
  | 'LIBBPF_TOO_OLD'
  | 'LIBPCAP_MISSING'
  | 'VERIFIER'
  | 'COMMAND_FAILED'
  | 'SYSCALL'
  | 'STATE'
  | 'INTERFACE_GONE'
  | 'INTERRUPTED'
  | 'HOOK'
  | 'EXPECTATION'
  | 'BUSY'
  | 'INTERNAL';

/**
 * Exit codes: done, a failure at run time, wrong usage, and what `explore` has found: faults that make the command fail,
 * or that it fails without any. docs/cli.md has the same.
 */
export const EXIT = { done: 0, failed: 1, usage: 2, found: 3, flaky: 4 } as const;

/**
 * An error as one line for the user: `<what failed>: <why>`, with a hint, if there is one, that says what to do about
 * it.
 */
export class VnetError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, what: string, why: string, options: { hint?: string; cause?: unknown } = {}) {
    super(`${what}: ${why}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'VnetError';
    this.code = code;
    this.hint = options.hint;
  }

  /** An error that another process has already put into words. */
  static received(code: ErrorCode, message: string, hint: string | undefined): VnetError {
    const [what, ...why] = message.split(': ');
    return new VnetError(code, what as string, why.join(': '), hint === undefined ? {} : { hint });
  }

  get exitCode(): 1 | 2 {
    return this.code === 'USAGE' ? EXIT.usage : EXIT.failed;
  }
}

/** An error of wrong usage: exit code 2, nothing was changed. */
export function usageError(what: string, why: string, hint?: string): VnetError {
  return new VnetError('USAGE', what, why, hint === undefined ? {} : { hint });
}

/** Hints that apply wherever such an error comes from. */
export const HINTS = {
  doctor: 'vnet-bpf doctor looks for the cause',
  proc: 'as root: mount -t proc proc /proc',
  limits:
    'look at the limits of memory and processes: ulimit -a; of the control group: memory.max, pids.max (TasksMax=)',
  removed: 'attach it again; if that goes on, some program on this machine removes interfaces',
  object: 'make build compiles it; if it comes from a package, install that again',
  bug: 'this is a bug in vnet-bpf: --debug shows where',
} as const;

// Guessing which word was meant by an unknown one.

/**
 * The optimal string alignment distance: the number of characters to insert, delete, replace, or swap with their
 * neighbour.
 */
export function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (beforeLast[j - 2] as number) + 1);
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] as number;
}

/** The number of mistakes that a word of that length may have: one in three characters. */
const mistakesIn = (word: string): number => Math.max(1, Math.floor(word.length / 3));
/** The longest word in characters: a longer one is no typing error. */
const LENGTH_MAX = 64;
/** The shortest beginning of a word, in characters, that stands for the word. */
const BEGINNING_MIN = 3;

/** The word that is nearest to `word`, or the only one that begins with it; null if none is close. */
export function closest(word: string, known: Iterable<string>): string | null {
  if (word === '' || word.length > LENGTH_MAX) return null;
  const asked = word.toLowerCase();
  const words = [...known];
  const distances = words
    .map((each) => ({ each, away: distance(asked, each.toLowerCase()) }))
    .sort((a, b) => a.away - b.away);
  const [nearest] = distances;
  if (nearest && nearest.away <= Math.min(mistakesIn(asked), nearest.each.length - 1)) return nearest.each;
  const begun = asked.length < BEGINNING_MIN ? [] : words.filter((each) => each.toLowerCase().startsWith(asked));
  return begun.length === 1 ? (begun[0] as string) : null;
}

/** A hint: the word that may have been meant, as `shown` writes it, or otherwise `otherwise`. */
export function didYouMean(
  word: string,
  known: Iterable<string>,
  otherwise: string,
  shown: (word: string) => string = (each) => each,
): string {
  const meant = closest(word, known);
  return meant === null ? otherwise : `did you mean ${shown(meant)}?`;
}

// Exhaustion: a full file system or a lack of descriptors can make any operation fail, and is reported in the same way
// everywhere.

const REASONS: Readonly<Record<string, { why: string; hint: string }>> = {
  ENOSPC: {
    why: 'no space is left',
    hint: 'df -h and df -i tell which file system is full; /run has to have space and inodes',
  },
  EDQUOT: { why: 'the quota is used up', hint: 'quota -v tells which' },
  EROFS: { why: 'the file system is read-only', hint: 'as root: mount -o remount,rw /run' },
  EFBIG: { why: 'this process may write no larger files', hint: 'ulimit -f unlimited' },
  EAGAIN: {
    why: 'no more threads or processes may be started',
    hint: 'look at ulimit -u, and at pids.max of the control group: TasksMax= of a unit, --pids-limit of docker',
  },
  EMFILE: { why: 'this process may open no more files', hint: 'ulimit -n 1024' },
  ENFILE: {
    why: 'this machine may open no more files',
    hint: 'sysctl fs.file-nr tells how many are open; sysctl -w fs.file-max=N allows more',
  },
};

/** The hint if /proc/sys is read-only. */
const IN_A_CONTAINER =
  'containers have /proc/sys read-only: docker run --privileged, or with --security-opt systempaths=unconfined';

/**
 * The name of the errno, whether Node, koffi or libbpf-ts has thrown the error; empty for an errno that is not of this
 * kind.
 */
function errnoNameOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  if (lacksThreads(error)) return 'EAGAIN';
  const { code, errnoName } = error as { code?: unknown; errnoName?: unknown };
  return (
    [code, errnoName].find(
      (each): each is string => typeof each === 'string' && each !== 'EAGAIN' && Object.hasOwn(REASONS, each),
    ) ?? ''
  );
}

/** Whether another process is using what this one needs: trying again later may help. */
export const isBusy = (error: unknown): boolean => error instanceof VnetError && error.code === 'BUSY';

/** The error for the user if libbpf cannot be loaded, otherwise null. */
export function missingLibrary(cause: unknown): VnetError | null {
  const { code, library } = (cause ?? {}) as { code?: unknown; library?: unknown };
  if (code !== 'LIBBPF_MISSING' || typeof library !== 'string') return null;
  return new VnetError('LIBBPF_MISSING', library, 'this library, libbpf 1.0 or later, cannot be loaded', {
    hint: 'apt-get install libbpf1, or set LIBBPF_TS_LIBRARY to its path',
    cause,
  });
}

/** Whether a thread or a process could not be started; elsewhere EAGAIN is no exhaustion. */
function lacksThreads(error: Error): boolean {
  const { code, syscall = '' } = error as NodeJS.ErrnoException;
  return code === 'ERR_WORKER_INIT_FAILED' || (code === 'EAGAIN' && syscall.startsWith('spawn'));
}

export const isExhaustion = (error: unknown): boolean => errnoNameOf(error) !== '';

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * The error for the user if it is of this kind, otherwise null. `what` failed, or else the file or operation that the
 * error names.
 */
export function exhaustion(cause: unknown, what?: string): VnetError | null {
  const reason = REASONS[errnoNameOf(cause)];
  if (!reason || cause instanceof VnetError) return null;
  const { path, operation } = cause as { path?: unknown; operation?: unknown };
  const text = messageOf(cause).replace(/: .*/s, '');
  const named =
    [path, operation].find((each): each is string => typeof each === 'string' && each !== '') ??
    (text === errnoNameOf(cause) ? 'this command' : text);
  const hint = named.startsWith('/proc/sys/') ? IN_A_CONTAINER : reason.hint;
  return new VnetError('STATE', what ?? named, `${reason.why} (${errnoNameOf(cause)})`, { hint, cause });
}

// Attached interfaces as messages name them, and the commands that messages advise.

/** `vnet0`, or `vnet0 in namespace lab`. */
export const named = (iface: string, netns: string | null): string =>
  netns === null ? iface : `${iface} in namespace ${netns}`;

/** A text in single quotes, for a shell. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** A word for a shell, quoted if need be. */
export const shellWord = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : quoted(word));

/** An interface as an operand of commands: `vnet0 --netns lab`. */
export const operandFor = (iface: string, netns: string | null): string =>
  `${shellWord(iface)}${netns === null ? '' : ` --netns ${shellWord(netns)}`}`;

/** A command about an interface that can be typed as it stands: `vnet-bpf detach vnet0 --netns lab`. */
export const commandFor = (verb: string, iface: string, netns: string | null, ...more: readonly string[]): string =>
  ['vnet-bpf', verb, operandFor(iface, netns), ...more].join(' ');

/** The same for an attachment, whose namespace is in its record. */
export const commandAbout = (
  verb: string,
  { iface, netns }: { iface: string; netns: { name: string | null } },
  ...more: readonly string[]
): string => commandFor(verb, iface, netns.name, ...more);

/** For a command about attached interfaces when there are none. */
export const nothingIsAttached = (netns: string | null = null): string =>
  `nothing is attached; ${commandFor('attach', 'vnet0', netns)} does it`;
