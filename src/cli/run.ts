// SPDX-License-Identifier: MIT
/** `vnet-bpf run`: a command in a network of its own with a looping vnet0, of which nothing is left when it ends. */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';

import { requirePrivileges } from '../controller/privileges';
import { law, type Stats } from '../datapath/stats';
import { usageError, VnetError } from '../errors';
import { checkedWords } from '../impair/words';
import { endProcesses, Netns } from '../link/netns';
import { clock } from '../native/clock';
import { openOutput } from '../native/output-file';
import type { Nic } from '../nic/nic';
import { Throwaway, type ThrowawayOptions } from '../testing/throwaway';
import { parseAddresses } from './attach-arguments';
import { jsonText, printNotice, reportError } from './output';
import type { RunArguments } from './run-arguments';
import { SignalRelay, statusOf } from './signals';
import { asLines } from './stats';

/** Of namespaces, for who sees one in `ip netns list`. */
const PREFIX = 'vnet-run-';
/** How long frames may be on their way after the command has ended. */
const REST_MS = 200;
/** As shells have it: there is no such command, and it cannot be executed. */
const STATUS = { notFound: 127, notExecutable: 126 } as const;

export async function runCommand(args: RunArguments, command: readonly string[]): Promise<void> {
  const example = 'vnet-bpf run -- ping -c 3 10.77.0.1';
  if (command.length === 0) throw usageError('run', 'which command? It comes behind --', example);
  const options = toOptions(args);
  if (args.impair !== undefined) checkedWords(args.impair);
  requirePrivileges();
  const report = openReport(args.stats);
  // Whoever reads our messages may go before the command ends.
  process.stderr.on('error', () => undefined);
  const signals = new SignalRelay();
  const network = await Throwaway.create(PREFIX, options);
  let status: number;
  try {
    if (args.impair !== undefined) await network.nic.impair(args.impair);
    await nextTurn(); // a signal that came meanwhile is heard now
    status = signals.early ? statusOf(signals.early) : await runIn(network, command, signals);
    if (!signals.early) {
      const stats = await statsAtRest(network.nic);
      fs.writeSync(report, (args.json ? jsonText(stats) : asLines(stats).join('\n')) + '\n');
    }
  } catch (error) {
    if (!(error instanceof CannotExecute)) throw error;
    reportError(error, false);
    status = error.status;
  } finally {
    await network.close();
  }
  // Nothing else keeps the process, but a library's timer must not either.
  process.exit(status);
}

function toOptions({ addr, hook, onHookError }: RunArguments): ThrowawayOptions {
  const hasIpv6 = fs.existsSync('/proc/sys/net/ipv6');
  const addresses = addr ?? ['10.77.0.1/24', ...(hasIpv6 ? ['fd77::1/64'] : [])];
  parseAddresses(addresses);
  return { addresses, ...(hook !== undefined && { hook }), ...(onHookError && { onHookError }) };
}

/** A file for the counters, made before anything else is; standard error where none is named. */
function openReport(file: string | undefined): number {
  if (file === undefined) return process.stderr.fd;
  try {
    return openOutput(file);
  } catch (cause) {
    throw usageError(`--stats "${file}"`, `cannot be written: ${(cause as NodeJS.ErrnoException).code ?? (cause as Error).message}`, 'name a file in a directory that is there, or /dev/null');
  }
}

class CannotExecute extends VnetError {
  readonly status: number;

  constructor(program: string, error: NodeJS.ErrnoException) {
    const missing = error.code === 'ENOENT';
    super('COMMAND_FAILED', `command ${program}`, missing ? 'there is none of that name' : `cannot be executed: ${error.code ?? error.message}`, { cause: error });
    this.status = missing ? STATUS.notFound : STATUS.notExecutable;
  }
}

/** Looks the command up as its user would, in his PATH and with his environment. */
function startCommand(program: string, args: readonly string[]): ChildProcess {
  try {
    return spawn(program, args, { stdio: 'inherit' });
  } catch (error) {
    throw new CannotExecute(program, error as NodeJS.ErrnoException); // of some errors Node makes no event
  }
}

/** Runs the command to its end; the status that a shell would have for it. */
async function runIn({ netns: name, nic }: Throwaway, [program = '', ...args]: readonly string[], signals: SignalRelay): Promise<number> {
  nic.on('error', (error) => void reportError(error, false));
  nic.on('hookError', (text) => printNotice(`vnet-bpf: ${text}`));
  if (program === '') throw new CannotExecute('""', Object.assign(new Error(), { code: 'ENOENT' }));
  using netns = Netns.named(name);
  // Not through `ip netns exec`, which would hide /sys/fs/bpf from it.
  const child = netns.run(() => startCommand(program, args));
  signals.to(child);
  const status = await new Promise<number>((resolve, reject) => {
    child.once('error', (error) => reject(new CannotExecute(program, error)));
    child.once('exit', (code, signal) => resolve(signal ? statusOf(signal) : (code ?? 1)));
  });
  // What it has left running would keep the namespace, and see its network go.
  await endProcesses(name);
  return status;
}

/** The counters once what the command has sent has come back. */
async function statsAtRest(nic: Nic): Promise<Stats> {
  for (const end = clock.now() + REST_MS; !law(nic.stats()).balanced && clock.now() < end; ) await delay(5);
  return nic.stats();
}
