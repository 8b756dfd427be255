// SPDX-License-Identifier: MIT
/** `vnet-bpf explore`: finds the fewest and smallest faults that make a command fail. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { EXIT, messageOf, shellWord, usageError } from '../errors';
import { endOf, Exploration, type Settings } from '../explore/explore';
import { sentenceFor } from '../explore/sentence';
import type { Found, Tally, Verdict } from '../explore/verdict';
import { hasFunction } from '../faults/document';
import { ruleText } from '../faults/language';
import { readWish } from '../faults/source';
import { loadFaults } from '../hooks/fault-hook';
import { absolutePath, inheritedDescriptors, leaveRemovedDirectory } from '../native/inherited';
import { setCloseOnExec } from '../native/libc';
import { allNewsIsOut } from '../native/standard-streams';
import { openOutput, requireOutput } from '../native/trusted';
import { ATTACH_OPTIONS } from '../options/attach-options';
import { readFlags } from '../options/read-options';
import { onCommandLine, parseInteger } from '../options/values';
import { requirePrivileges } from '../requirements';
import { jsonText, tell, tellMade, tellNotice } from '../terminal/output';
import { duration, ProgressLine } from '../terminal/progress';
import { endSignals, statusOf } from '../terminal/signals';
import { addressesOf } from '../testing/run-in-network';
import type { Call } from './declarations';
import { secondsOf } from './selection';

interface ExploreArguments {
  faults: string;
  addr: string[] | undefined;
  seed: string | undefined;
  runs: string;
  jobs: string;
  timeout: string | undefined;
  repro: string;
  json: boolean;
}

const RUNS_MAX = 1_000_000;
const JOBS_MAX = 64;
/** Lines of the command's output that are shown. */
const OUTPUT_LINES = 10;

export async function exploreCommand(args: ExploreArguments, { words: command }: Call): Promise<void> {
  if (command.length === 0)
    throw usageError(
      'explore',
      'which command? It comes behind --',
      "vnet-bpf explore --faults 'udp: loss 10%' -- ./test.sh",
    );
  const stop = new AbortController();
  let stops = 0;
  process.on('SIGCONT', () => stops++);
  const settings = await settingsOf(args, command, { stop: stop.signal, stops: () => stops });
  requirePrivileges();
  inheritedDescriptors().forEach(setCloseOnExec);
  leaveRemovedDirectory();
  let signal: NodeJS.Signals | undefined;
  for (const each of endSignals())
    process.on(each, () => {
      signal ??= each;
      stop.abort();
    });
  const verdict = await explore(settings);
  if (args.json) tellMade(jsonText(documentFor(verdict, args)));
  else tell(...linesFor(verdict, args, command));
  await allNewsIsOut();
  // Nothing else keeps the process alive, and a library's timer must not either.
  process.exit(verdict.kind === 'stopped' ? statusOf(signal ?? 'SIGTERM') : EXIT_OF[verdict.kind]);
}

const EXIT_OF = { nothing: EXIT.done, found: EXIT.found, flaky: EXIT.flaky } as const;

async function settingsOf(
  args: ExploreArguments,
  command: readonly string[],
  ends: Pick<Settings, 'stop' | 'stops'>,
): Promise<Settings> {
  const number = (flag: 'runs' | 'jobs', most: number): number =>
    parseInteger(args[flag], onCommandLine(flag, args[flag]), 1, most);
  const seed = args.seed === undefined ? null : ATTACH_OPTIONS.seed.read(args.seed, onCommandLine('seed', args.seed));
  const addresses = addressesOf(args.addr);
  readFlags({ addr: addresses }, absolutePath);
  const runs = number('runs', RUNS_MAX);
  const jobs = number('jobs', JOBS_MAX);
  const timeoutMs = args.timeout === undefined ? null : secondsOf('--timeout', args.timeout) * 1000;
  requireRepro(args);
  const faults = await loadFaults(readWish(args.faults, seed, absolutePath));
  const withFunction = faults.rules.find(({ match }) => hasFunction(match));
  if (withFunction !== undefined)
    throw usageError(
      `rule ${withFunction.id}, "${ruleText(withFunction)}"`,
      'has a function, which cannot be written into PREFIX.faults.json',
      'use a filter in its place',
    );
  return { command, addresses, faults, runs, jobs, timeoutMs, recordTo: filesOf(args).recording, ...ends };
}

/** Checks now that the files can be made, and not after a long search. */
function requireRepro(args: ExploreArguments): void {
  const wrong = (why: string): Error =>
    usageError(`--repro "${args.repro}"`, why, 'name files in a directory of your own: --repro /root/repro');
  const directory = path.dirname(absolutePath(args.repro));
  try {
    fs.accessSync(directory, fs.constants.W_OK);
  } catch {
    throw wrong(`${directory} is not a directory in which files can be made`);
  }
  try {
    Object.values(filesOf(args)).forEach(requireOutput);
  } catch (cause) {
    throw wrong(messageOf(cause));
  }
}

const filesOf = ({ repro }: ExploreArguments): { faults: string; recording: string } => ({
  faults: `${repro}.faults.json`,
  recording: `${repro}.pcapng`,
});

/** Explores, and tells how far it is. */
async function explore(settings: Settings): Promise<Verdict> {
  const start = performance.now();
  const exploration = new Exploration(settings, (text) => {
    progress.clear();
    tellNotice(text);
  });
  using progress = new ProgressLine(() => `${exploration.progress}, ${duration(performance.now() - start)}`);
  return await exploration.run();
}

const tallyText = ({ failed, runs }: Tally): string => `${failed} of ${runs} runs`;

function linesFor(verdict: Verdict, args: ExploreArguments, command: readonly string[]): string[] {
  const { kind, alone, runs } = verdict;
  if (kind === 'stopped') return [`ended after ${runs} runs with faults; none failed`];
  if (kind === 'nothing') return [`did not fail in ${runs} runs with faults`];
  if (kind === 'found') return foundLines(verdict.found, alone, args, command);
  const { once, found } = verdict;
  return [
    alone.failed > 0
      ? `fails by itself: in ${tallyText(alone)} without faults`
      : `fails, but not again with the same faults: in none of ${alone.runs} runs without faults`,
    ...(found === null
      ? []
      : [`more often when faults happen: in ${tallyText(found.confirmed)} it ${sentenceFor(found.causes)}`]),
    ...outputLines(once?.output ?? found?.outcome.output ?? ''),
  ];
}

function foundLines(found: Found, alone: Tally, args: ExploreArguments, command: readonly string[]): string[] {
  const { causes, faults, confirmed, outcome, isSmallest, isRecorded, unrecorded } = found;
  const files = filesOf(args);
  const unwritten = writeFaults(found, files.faults);
  const rules = faults.rules.map(ruleText).join('; ');
  const given = unwritten === null ? ['--faults', files.faults] : ['--faults', rules, '--seed', String(faults.seed)];
  const words = ['vnet-bpf', 'run', ...(args.addr ?? []).flatMap((each) => ['--addr', each]), ...given];
  return [
    sentenceFor(causes),
    ...(isSmallest ? [] : ['ended early: fewer or smaller faults may do']),
    ...(confirmed.runs === 0
      ? []
      : [
          `${endOf(outcome)} in ${tallyText(confirmed)} with ${causes.length === 1 ? 'this fault' : 'these faults'}, failures in ${tallyText(alone)} without`,
        ]),
    `${unwritten ?? files.faults}: ${rules}`,
    ...(isRecorded ? [`${files.recording}: the frames of a run that failed`] : []),
    ...(unrecorded === null ? [] : [unrecorded]),
    `again: ${[...words, '--', ...command].map(shellWord).join(' ')}`,
    ...outputLines(outcome.output),
  ];
}

/** The last lines of what the command has printed, if any. */
function outputLines(output: string): string[] {
  const lines = output.trimEnd().split('\n').slice(-OUTPUT_LINES);
  return output.trim() === '' ? [] : ['the command has printed, at the end:', ...lines.map((line) => `  ${line}`)];
}

/** Returns why the file is not there; null if it is. What was found is shown in any case. */
function writeFaults({ faults }: Found, file: string): string | null {
  try {
    const fd = openOutput(file);
    try {
      fs.writeFileSync(fd, `${jsonText(faults)}\n`);
    } finally {
      fs.closeSync(fd);
    }
    return null;
  } catch (error) {
    return `${file} could not be written, because ${messageOf(error)}`;
  }
}

/** The document of `--json`. */
function documentFor(verdict: Verdict, args: ExploreArguments): unknown {
  const { kind, alone, runs } = verdict;
  const found = 'found' in verdict ? verdict.found : null;
  const unwritten = kind === 'found' ? writeFaults(verdict.found, filesOf(args).faults) : null;
  if (unwritten !== null) tellNotice(unwritten);
  return {
    result: kind,
    sentence: found && sentenceFor(found.causes),
    seed: found && found.seed,
    exitCode: found && found.outcome.status,
    faults: found && found.causes.length,
    rules: found && found.faults.rules.map(ruleText),
    smallest: found && found.isSmallest,
    confirmed: found && found.confirmed,
    without: alone,
    explored: runs,
    files:
      kind === 'found'
        ? {
            faults: unwritten === null ? filesOf(args).faults : null,
            recording: verdict.found.isRecorded ? filesOf(args).recording : null,
          }
        : null,
  };
}
