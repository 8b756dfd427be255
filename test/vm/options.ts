// SPDX-License-Identifier: MIT
// The command line of run.ts.
import { release } from 'node:os';
import { parseArgs } from 'node:util';
import { kernels, type Kernel } from './kernels';
import { sets, type SetName } from './tests';

export const usage = `usage: run.ts [options] [-- command…]

Without a command: runs the tests of the matrix in each kernel and prints one TAP report.
With a command: runs it in /work of the guest and shows its output; one argument is taken as a shell line.

  --kernel NAME       of ${kernels.map((kernel) => kernel.name).join(', ')} (repeatable)
  --all               all of them (the default for tests; a command runs on 6.1 unless told otherwise)
  --but-own           not that of the release that runs here, on which the tests run without a guest
  --set NAME          matrix (the default), dummy: traffic on a dummy, systemd: the unit, full: all kernel tests, an hour a kernel
  --match REGEX       only test files whose path matches
  --tests DIR         look for *.test.ts there instead (repeatable)
  --table FILE        when all is well, put the results into the table of this document
  --add FILE          put a host file into /work of the guest (repeatable)
  --jobs N            kernels at a time (2)
  --env NAME=VALUE    in the environment of tests and command (repeatable)
  --timeout SECONDS   of processor time for one guest (3600 for tests, 300 for a command)
  --file-timeout S    for one test file or set (900; for other sets 1200)
  --idle SECONDS      of processor time without any output (45; for other sets 240)
  --kvm               on the host's processor; a guest that does not come up is emulated
  --memory MB         of the guest (768)
  --console           show the guest's console afterwards, also when all is well
  --renew             look for newer kernel packages
  --fetch             only fetch the kernels
`;

export interface Options {
  readonly kernels: readonly Kernel[];
  readonly command: readonly string[];
  readonly set: SetName;
  readonly table: string | undefined;
  readonly match: RegExp;
  readonly directories: readonly string[];
  readonly add: readonly string[];
  readonly environment: readonly string[];
  readonly jobs: number;
  readonly timeoutMs: number;
  readonly fileTimeoutSeconds: number;
  readonly idleMs: number;
  readonly kvm: boolean;
  readonly memoryMb: number;
  readonly console: boolean;
  readonly renew: boolean;
  readonly fetchOnly: boolean;
}

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Throws UsageError. `help` asks for the usage and nothing else. */
export function parseOptions(args: readonly string[]): Options | 'help' {
  const end = args.indexOf('--');
  const command = end < 0 ? [] : args.slice(end + 1);
  let values;
  try {
    values = parseArgs({
      args: end < 0 ? [...args] : args.slice(0, end),
      options: {
        kernel: { type: 'string', multiple: true },
        all: { type: 'boolean' },
        'but-own': { type: 'boolean' },
        set: { type: 'string' },
        table: { type: 'string' },
        match: { type: 'string' },
        tests: { type: 'string', multiple: true },
        add: { type: 'string', multiple: true },
        env: { type: 'string', multiple: true },
        jobs: { type: 'string' },
        timeout: { type: 'string' },
        'file-timeout': { type: 'string' },
        idle: { type: 'string' },
        kvm: { type: 'boolean' },
        memory: { type: 'string' },
        console: { type: 'boolean' },
        renew: { type: 'boolean' },
        fetch: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return 'help';
  const isCommand = command.length > 0;
  const set = setNamed(values.set ?? 'matrix');
  const slow = set !== 'matrix';
  const names = values.kernel ?? (isCommand && !values.all ? ['6.1'] : kernels.map((kernel) => kernel.name));
  return {
    kernels: (values.all ? kernels : names.map(kernelNamed)).filter(
      ({ name }) => !values['but-own'] || name !== ownRelease(),
    ),
    command,
    set,
    table: values.table,
    match: pattern(values.match ?? ''),
    directories: values.tests ?? [],
    add: values.add ?? [],
    environment: (values.env ?? []).map(assignment),
    jobs: number('--jobs', values.jobs, 2),
    timeoutMs: number('--timeout', values.timeout, isCommand ? 300 : 3600) * 1000,
    fileTimeoutSeconds: number('--file-timeout', values['file-timeout'], slow ? 1200 : 900),
    idleMs: number('--idle', values.idle, slow ? 240 : 45) * 1000,
    kvm: values.kvm ?? false,
    memoryMb: number('--memory', values.memory, 768),
    console: values.console ?? false,
    renew: values.renew ?? false,
    fetchOnly: values.fetch ?? false,
  };
}

/** Such as 6.18, as kernels are called here. */
const ownRelease = (): string => release().split('.', 2).join('.');

function kernelNamed(name: string): Kernel {
  const found = kernels.find((kernel) => kernel.name === name);
  if (!found)
    throw new UsageError(
      `there is no kernel ${name}: the table has ${kernels.map((kernel) => kernel.name).join(', ')}`,
    );
  return found;
}

function setNamed(name: string): SetName {
  if (!Object.hasOwn(sets, name))
    throw new UsageError(`there is no set ${name}: there are ${Object.keys(sets).join(', ')}`);
  return name as SetName;
}

function assignment(text: string): string {
  if (!/^[A-Za-z_]\w*=/.test(text)) throw new UsageError(`--env takes NAME=VALUE, not ${text}`);
  return text;
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function number(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^[1-9]\d*$/.test(text)) throw new UsageError(`${name} takes a whole number above 0, not ${text}`);
  return Number(text);
}
