// SPDX-License-Identifier: MIT
/** All checks, in the order in which one depends on the other. */
import { fail, type Check, type Group } from './check';
import { bpffs } from './bpffs';
import { featureChecks } from './features';
import { kernelChecks } from './kernel';
import { leftoverChecks } from './leftovers';
import { networkChecks } from './network';
import { privilegeChecks } from './privileges';
import { softwareChecks } from './software';

/** A check that breaks must not hide the others. */
function group(name: string, checks: () => Check[]): Group {
  try {
    return { name, checks: checks() };
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/\s+/g, ' ') : String(error);
    return { name, checks: [fail(name, why, 'this is not foreseen: please report it')] };
  }
}

export function examine(): Group[] {
  const features = group('features', featureChecks);
  const tcx = features.checks.some(({ name, status }) => name === 'tcx' && status === 'ok');
  return [
    group('kernel', kernelChecks),
    features,
    group('privileges', privilegeChecks),
    group('software', softwareChecks),
    group('network', () => networkChecks(tcx)),
    group('state', () => [bpffs(), ...leftoverChecks()]),
  ];
}
