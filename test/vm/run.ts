// SPDX-License-Identifier: MIT
// Runs the kernel tests, or a command, inside the kernels of the table: README.md, or --help.
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { boot, type BootOptions, type BootResult } from './boot';
import { fetchKernels, type FetchedKernel } from './fetch-kernel';
import { FileJudge, type TestVerdict } from './file-verdict';
import type { Kernel } from './kernels';
import { parseOptions, usage, UsageError, type Options } from './options';
import { cache, repository } from './paths';
import { killAll } from './qemu';
import { KernelReport, Report } from './report';
import { resultTable, writeTable, type KernelResult } from './table';
import { commandScript, findTests, sets, testScript, type TestUnit } from './tests';
import { inTurns, type Turn } from './turns';

const interrupt = new AbortController();

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort());
  process.on('exit', killAll);
  removeAbandoned();

  const missing = new Map<Kernel, string>();
  const fetched = fetchKernels(options.kernels, {
    renew: options.renew,
    announce,
    missing: (kernel, why) => missing.set(kernel, why),
  });
  for (const [kernel, why] of missing) announce(`kernel ${kernel.name} is missing: ${why}`);
  if (options.fetchOnly) return missing.size === 0 ? 0 : 1;
  return options.command.length > 0 ? runCommand(options, fetched) : runTests(options, fetched, missing);
}

async function runCommand(options: Options, fetched: ReadonlyMap<string, FetchedKernel>): Promise<number> {
  let worst = fetched.size === options.kernels.length ? 0 : 1;
  for (const kernel of options.kernels) {
    const image = fetched.get(kernel.name);
    if (!image || interrupt.signal.aborted) continue;
    announce(`kernel ${kernel.name} (${image.release}, ${image.version})`);
    const payload = { script: commandScript(kernel, options.command, options.environment), extra: extraFiles(options) };
    const result = await boot(
      image,
      payload,
      bootOptions(options, (line) => console.log(line)),
    );
    showConsole(options, result, result.problems.length > 0);
    for (const problem of result.problems) announce(`kernel ${kernel.name}: ${problem}`);
    announce(`kernel ${kernel.name}: exit code ${result.exitCode ?? 'unknown'}; ${times(result)}`);
    worst = Math.max(worst, result.exitCode ?? 1, result.problems.length > 0 ? 1 : 0);
  }
  return interrupt.signal.aborted ? 130 : worst;
}

async function runTests(
  options: Options,
  fetched: ReadonlyMap<string, FetchedKernel>,
  missing: ReadonlyMap<Kernel, string>,
): Promise<number> {
  const wanted =
    options.directories.length > 0
      ? options.directories.map((directory) => ({ directory, files: /\.test\.ts$/ }))
      : sets[options.set];
  const units = new Map(
    options.kernels.map((kernel) => [kernel, findTests(repository, wanted, options.match, kernel.name)]),
  );
  const report = new Report((line) => console.log(line));
  const sums: string[] = [];
  const results: KernelResult[] = [];
  // Those that loop packets take long, those of the binding do not.
  const filesOf = (kernel: Kernel): number =>
    units
      .get(kernel)!
      .flatMap(({ files }) => files)
      .filter((file) => file.startsWith('test/')).length;
  // The longest first, so that no guest is left to run by itself in the end; the oldest has little to do.
  const inOrder = [...options.kernels].reverse().sort((a, b) => filesOf(b) - filesOf(a));
  const jobs = inOrder.map((kernel) => async (turn: Turn): Promise<void> => {
    if (interrupt.signal.aborted) return;
    const image = fetched.get(kernel.name);
    if (image) {
      const tests = await testKernel(kernel, image, units.get(kernel)!, new KernelReport(report, turn, sums), options);
      results.push({ name: kernel.name, version: image.version, tests });
      return;
    }
    const why = (missing.get(kernel) ?? '').replace(/\s+/g, ' ');
    turn.say(() =>
      process.env['CI']
        ? report.check(`${kernel.name} can be fetched`, [why])
        : report.skip(`${kernel.name} can be fetched`, why),
    );
  });
  await inTurns(jobs, options.jobs);
  if ([...units.values()].every((found) => found.length === 0))
    report.check('there are test files', [`none in ${wanted.map((set) => set.directory).join(', ')} matches`]);
  if (interrupt.signal.aborted) report.check('runs to its end', ['interrupted']);
  for (const sum of sums) report.comment(sum);
  const ok = report.end();
  if (ok && options.table !== undefined && results.length === options.kernels.length) {
    const order = options.kernels.map(({ name }) => name);
    results.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
    writeTable(options.table, resultTable(results));
  }
  return interrupt.signal.aborted ? 130 : ok ? 0 : 1;
}

/** Runs all files in one boot; returns the result of each of their tests. */
async function testKernel(
  kernel: Kernel,
  image: FetchedKernel,
  units: readonly TestUnit[],
  report: KernelReport,
  options: Options,
): Promise<TestVerdict[]> {
  const tests: TestVerdict[] = [];
  report.comment(`kernel ${kernel.name} (${image.release}, ${image.version}): ${kernel.notes}`);
  // Verdicts come asynchronously out of the parser; the report must keep the order of the lines.
  let order = Promise.resolve();
  let current: { file: string; judge: FileJudge } | undefined;
  const finished = new Set<string>();
  const finish = (exit: number | undefined) => {
    if (!current) return;
    const { file, judge } = current;
    current = undefined;
    finished.add(file);
    order = order.then(async () => {
      const verdict = await judge.end(exit);
      tests.push(...verdict.tests);
      report.endFile(`${kernel.name} ${file}`, verdict);
    });
  };
  const onLine = (line: string) => {
    current?.judge.line(line);
    order = order.then(() => report.line(line));
  };
  const onEvent = ([what, ...words]: readonly string[]) => {
    if (what === 'done') finish(Number(words[0]));
    if (what !== 'file') return;
    const file = words.join(' ');
    current = { file, judge: new FileJudge(kernel, file) };
    order = order.then(() => report.startFile(`${kernel.name} ${file}`));
  };
  const payload = {
    script: testScript(kernel, units, options.fileTimeoutSeconds, options.environment),
    extra: extraFiles(options),
    installed: units.some(({ installed }) => installed),
    systemd: units.some(({ systemd }) => systemd),
  };
  const result = await boot(image, payload, { ...bootOptions(options, onLine), onEvent });
  finish(undefined);
  await order;
  const notRun = units.filter(({ name }) => !finished.has(name)).map(({ name }) => `not run: ${name}`);
  const exit =
    result.exitCode === undefined || result.exitCode === 0 ? [] : [`the test script exited with ${result.exitCode}`];
  report.check(`${kernel.name} boots, ends in order and has no complaints`, [...result.problems, ...exit, ...notRun]);
  for (const allowance of result.allowances) report.comment(`allowed: ${allowance}`);
  report.console(() => showConsole(options, result, result.problems.length > 0));
  report.sum(`kernel ${kernel.name} (${image.version}): ${times(result)}`);
  return tests;
}

function bootOptions(options: Options, onLine: (line: string) => void): BootOptions {
  return {
    limits: { bootMs: 30_000, totalMs: options.timeoutMs, idleMs: options.idleMs },
    memoryMb: options.memoryMb,
    kvm: options.kvm,
    abort: interrupt.signal,
    announce,
    onLine,
  };
}

function extraFiles(options: Options): Map<string, string> {
  return new Map(
    options.add.map((file) => {
      if (!existsSync(file)) throw new UsageError(`--add ${file}: there is no such file`);
      return [path.basename(file), path.resolve(file)];
    }),
  );
}

/** On stderr: standard output belongs to the report, or to the command. */
function showConsole(options: Options, result: BootResult, failed: boolean): void {
  if (!failed && !options.console) return;
  const lines = readFileSync(result.consoleFile, 'latin1').split(/\r?\n/);
  const shown = options.console ? lines : lines.slice(-60);
  announce(`console (${shown.length} of ${lines.length} lines, all in ${result.consoleFile}):`);
  for (const line of shown) process.stderr.write(`  | ${line}\n`);
}

function times({ times }: BootResult): string {
  const seconds = (ms: number | undefined) => (ms === undefined ? 'never' : `${(ms / 1000).toFixed(1)} s`);
  return (
    `image ${seconds(times.imageMs)}, user space after ${seconds(times.userSpaceMs)}, ` +
    `work ${seconds(times.scriptMs)}, total ${seconds(times.totalMs)}`
  );
}

function announce(text: string): void {
  process.stderr.write(`vm: ${text}\n`);
}

/** Images of runs that were killed outright: 150 MB each. */
function removeAbandoned(): void {
  for (const name of readdirSync(cache('run'))) {
    if (!existsSync(`/proc/${name}`)) rmSync(path.join(cache('run'), name), { recursive: true, force: true });
  }
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: Error) => {
    process.stderr.write(`vm: ${error instanceof UsageError ? error.message : error.stack}\n`);
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
