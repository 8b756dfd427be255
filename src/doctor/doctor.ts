// SPDX-License-Identifier: MIT
/** `vnet-bpf doctor`: prints a line per check, with the fix below what is wrong. Exit code 1 if a check failed. */
import { HINTS } from '../errors';
import { printable } from '../printable';
import { isProcMounted } from '../requirements';
import { coloured, type Look, printJson, printMade } from '../terminal/output';
import { type Check, fail, type Group, type Status } from './check';
import { bpffs, leftoverChecks, softwareChecks } from './installation';
import { featureChecks, kernelChecks, networkChecks, privilegeChecks } from './kernel';

// All checks, ordered by their dependencies.

/** Runs a group of checks. One that breaks must not hide the others. */
function group(name: string, checks: () => Check[]): Group {
  try {
    return { name, checks: checks() };
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/\s+/g, ' ') : String(error);
    return { name, checks: [fail(name, why, 'this is not foreseen: please report it')] };
  }
}

/** What the release alone says about seeds does not hold without netem itself. */
const SEEDS = 'seeds of netem';
const WITHOUT_NETEM = { status: 'warn', found: 'of no use: there is no netem', fix: 'see netem below' } as const;

export function examine(): Group[] {
  // Most checks read it.
  if (!isProcMounted()) return [{ name: 'kernel', checks: [fail('/proc', 'not mounted', HINTS.proc)] }];
  const features = group('features', featureChecks);
  const tcx = features.checks.some(({ name, status }) => name === 'tcx' && status === 'ok');
  const network = group('network', () => networkChecks(tcx));
  if (network.checks.some(({ name, status, fix }) => name === 'netem' && status !== 'ok' && fix !== null))
    features.checks = features.checks.map((check) => (check.name === SEEDS ? { ...check, ...WITHOUT_NETEM } : check));
  return [
    group('kernel', kernelChecks),
    features,
    group('privileges', privilegeChecks),
    group('software', softwareChecks),
    network,
    group('state', () => [bpffs(), ...leftoverChecks()]),
  ];
}

/** The document of `doctor --json`. */
export interface DoctorReport {
  /** Whether nothing failed; warnings do not count. */
  ok: boolean;
  checks: CheckReport[];
}

interface CheckReport extends Check {
  group: string;
  /** @deprecated The former name of `fix`. */
  mend: string | null;
}

export function doctorCommand(args: { json: boolean }): void {
  const groups = examine();
  const checks = groups.flatMap((group) =>
    group.checks.map(({ name, status, found, fix }) => ({ group: group.name, name, status, found, mend: fix, fix })),
  );
  const ok = checks.every(({ status }) => status !== 'fail');
  if (args.json) printJson({ ok, checks } satisfies DoctorReport);
  else printMade([...asTree(groups), '', summary(checks)].join('\n'));
  if (!ok) process.exitCode = 1;
}

const LOOKS: Readonly<Record<Status, Look>> = { ok: 'good', warn: 'warning', fail: 'bad' };

function asTree(groups: readonly Group[]): string[] {
  const width = Math.max(...groups.flatMap(({ checks }) => checks.map(({ name }) => name.length)));
  const lines = ({ name, status, found, fix }: Check): string[] => {
    const fixes = fix === null ? [] : [`${' '.repeat(10 + width)}fix: ${printable(fix)}`];
    return [`  ${coloured(LOOKS[status], status.padEnd(4), 1)}  ${name.padEnd(width)}  ${printable(found)}`, ...fixes];
  };
  return groups.flatMap(({ name, checks }) => [coloured('bold', name, 1), ...checks.flatMap(lines)]);
}

function summary(checks: readonly Check[]): string {
  const count = (status: string): number => checks.filter((check) => check.status === status).length;
  const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
  const [failures, warnings] = [count('fail'), count('warn')];
  if (failures > 0)
    return `vnet-bpf does not work here: ${plural(failures, 'failure')}, ${plural(warnings, 'warning')}`;
  if (warnings > 0) return `nothing failed; ${plural(warnings, 'warning')}`;
  return 'all is well';
}
