// SPDX-License-Identifier: MIT
/** `vnet-bpf run`: runs a command in a network of its own with a looping vnet0; nothing is left when it ends. */
import * as fs from 'node:fs';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';

import { frameAccounting, type Stats } from '../datapath/stats';
import { usageError, VnetError } from '../errors';
import { lineOf } from '../faults/log';
import { checkedWords } from '../impair/words';
import { clock } from '../native/clock';
import { absolutePath, inheritedDescriptors, leaveRemovedDirectory } from '../native/inherited';
import { exitAtOnce, setCloseOnExec } from '../native/libc';
import { allNewsIsOut, news } from '../native/standard-streams';
import { shareTerminal } from '../native/terminal';
import { openOutput } from '../native/trusted';
import type { Nic } from '../nic/nic';
import type { TypedOptions } from '../options/attach-options';
import { readFlags } from '../options/read-options';
import { requirePrivileges } from '../requirements';
import { jsonText, reportError, tellNotice } from '../terminal/output';
import { SignalRelay, statusOf } from '../terminal/signals';
import { addressesOf, CannotExecute, runInNetwork } from '../testing/run-in-network';
import { Throwaway, type ThrowawayOptions } from '../testing/throwaway';
import type { Call } from './declarations';
import { reportLines } from './faults';
import { asLines } from './stats';

interface RunArguments extends Pick<TypedOptions, 'addr' | 'hook' | 'onHookError' | 'faults' | 'seed'> {
  faultsLog: string | undefined;
  impair: string | undefined;
  stats: string | undefined;
  json: boolean;
}

/** Prefix of the namespaces' names, by which users recognize them in `ip netns list`. */
const PREFIX = 'vnet-run-';
/** How long frames may be in transit after the command has ended, in milliseconds. */
const REST_MS = 200;

export async function runCommand(args: RunArguments, { words: command }: Call): Promise<void> {
  const example = 'vnet-bpf run -- ping -c 3 10.77.0.1';
  if (command.length === 0) throw usageError('run', 'which command? It comes behind --', example);
  const options = toOptions(args);
  if (args.impair !== undefined) checkedWords(args.impair);
  requirePrivileges();
  const descriptors = inheritedDescriptors();
  // The descriptors are for the command, not for what cleans up after it: a process may wait until the last of them is
  // closed.
  descriptors.forEach(setCloseOnExec);
  const report = openReport('stats', args.stats);
  const faultsLog = openReport('faults-log', args.faultsLog);
  leaveRemovedDirectory();
  shareTerminal();
  const signals = new SignalRelay();
  const network = await Throwaway.create(PREFIX, options);
  let status: number;
  let stats: Stats | undefined;
  try {
    if (args.impair !== undefined) await network.nic.impair(args.impair);
    await nextTurn(); // signals that arrived meanwhile are handled now
    status = signals.early ? statusOf(signals.early) : await runIn(network, command, descriptors, signals);
    if (!signals.early) stats = await statsAtRest(network.nic);
    if (!signals.early && args.faults !== undefined) await reportFaults(network.nic, faultsLog, args);
  } catch (error) {
    if (!(error instanceof CannotExecute)) throw error;
    reportError(error, false);
    status = error.status;
  } finally {
    // The exit code stays the command's: the network's guardian tries again when this process has ended.
    await network.close().catch((error) => void reportError(error, false));
  }
  if (stats) writeReport(report, args, stats);
  await allNewsIsOut();
  // Nothing else keeps the process alive, and a library's timer must not either. At an orderly end Node.js would undo
  // the modes that the command has given the terminal.
  exitAtOnce(status);
}

function toOptions({ addr, hook, onHookError, faults, seed, faultsLog }: RunArguments): ThrowawayOptions {
  const addresses = addressesOf(addr);
  const read = readFlags({ addr: addresses, hook, faults, seed }, absolutePath);
  if (faultsLog !== undefined && faults === undefined)
    throw usageError(
      `--faults-log "${faultsLog}"`,
      'is the log of faults, and there are none',
      "--faults 'udp port 53 nth 2: drop', or leave it out",
    );
  return {
    addresses,
    ...(read.hook !== null && { hook: read.hook }),
    ...(onHookError && { onHookError }),
    ...(read.faults !== null && { faults: read.faults }),
    ...(read.seed !== null && { seed: read.seed }),
  };
}

/** Opens a file for a report before anything is created; null if none is named. */
function openReport(option: string, file: string | undefined): number | null {
  if (file === undefined) return null;
  try {
    return openOutput(file);
  } catch (cause) {
    if (cause instanceof VnetError) throw cause;
    throw usageError(
      `--${option} "${file}"`,
      `cannot be written: ${(cause as NodeJS.ErrnoException).code ?? (cause as Error).message}`,
      'name a file in an existing directory, or /dev/null',
    );
  }
}

/** Says what the faults have done, with the seed that does it again, and writes their log. */
async function reportFaults(nic: Nic, log: number | null, { faultsLog, json }: RunArguments): Promise<void> {
  if (!json) news(2, `${reportLines(nic.name, await nic.faultsReport()).join('\n')}\n`);
  if (log === null) return;
  const lines = (await nic.faultLog()).map((fault) => `${lineOf(fault)}\n`).join('');
  writeInto(log, 'faults-log', faultsLog, lines);
}

/** Writes the counters. The exit code is the command's, whether or not they can be written. */
function writeReport(report: number | null, args: RunArguments, stats: Stats): void {
  const text = args.json ? jsonText(stats) : asLines(stats).join('\n');
  if (report === null) return news(2, `${text}\n`);
  writeInto(report, 'stats', args.stats, `${text}\n`);
}

function writeInto(report: number, option: string, file: string | undefined, text: string): void {
  try {
    fs.writeFileSync(report, text);
  } catch (error) {
    tellNotice(
      `vnet-bpf: --${option} ${file}: cannot be written: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`,
    );
  }
}

/** The command's standard streams, and the descriptors that this process was given, by number. */
function streamsFor(descriptors: readonly number[]): ('inherit' | 'ignore' | number)[] {
  const stdio: ('inherit' | 'ignore' | number)[] = ['inherit', 'inherit', 'inherit'];
  // 'ignore' fills the numbers in between: no other descriptor survives the start of the command.
  for (const fd of descriptors) while (stdio.length <= fd) stdio.push(stdio.length === fd ? fd : 'ignore');
  return stdio;
}

/** Runs the command to its end; returns the status that a shell would report. */
function runIn(
  network: Throwaway,
  command: readonly string[],
  descriptors: readonly number[],
  signals: SignalRelay,
): Promise<number> {
  const { nic } = network;
  nic.on('error', (error) => void reportError(error, false));
  tellNotice(...nic.warnings().map((text) => `vnet-bpf: ${text}`));
  nic.on('hookError', (text) => tellNotice(`vnet-bpf: ${text}`));
  return runInNetwork(network, command, { stdio: streamsFor(descriptors), started: (child) => signals.to(child) });
}

/** The counters once the frames that the command sent have come back, or after REST_MS. */
async function statsAtRest(nic: Nic): Promise<Stats> {
  for (const end = clock.now() + REST_MS; ; await delay(5)) {
    const stats = nic.stats();
    if (frameAccounting(stats).balanced || clock.now() > end) return stats;
  }
}
