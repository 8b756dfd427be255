// SPDX-License-Identifier: MIT
// Runs the kernel's selftests on vnet0 and on the control, and compares: README.md, or --help.
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';

import { closingLine } from '../report/tally';
import { build, programs } from './build';
import { judge, type Run } from './compare';
import { ADDRESSES, MAC, makeNetwork, type Network } from './networks';
import { resultsOf, type Result } from './output';
import { countsOf, summary, type Row } from './report';
import { fetchSource } from './source';
import { exceptions, leftOut, selftests, type Selftest, type Step } from './table';

const usage = `usage: run.ts [options]

  --only REGEX   of the names of selftests
  --fetch        only fetch and build
  --verbose      show each result on each interface
`;
const STEP_SECONDS = 60;

const interrupt = new AbortController();

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      fetch: { type: 'boolean' },
      verbose: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  if (!values.fetch && process.geteuid?.() !== 0)
    throw new Error('root is needed to make interfaces: run as root, or with --fetch');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt.abort());
  const chosen = selftests.filter(({ name }) => new RegExp(values.only ?? '').test(name));
  const source = fetchSource((text) => console.log(`selftests: ${text}`));
  const notBuilt = build(
    chosen.flatMap((test) => test.programs),
    source,
  );
  for (const [name, why] of notBuilt) console.error(`selftests: ${name} does not compile: ${why}`);
  if (values.fetch) return notBuilt.size === 0 ? 0 : 1;

  console.log(`the kernel's selftests, of ${source.version}`);
  const rows: Row[] = [];
  const runs: Run[] = [];
  for (const test of chosen) {
    if (interrupt.signal.aborted) break;
    const started = performance.now();
    const control = await runOn('control', test);
    const vnet0 = await runOn('vnet0', test);
    runs.push({ test: test.name, control: control.results, vnet0: vnet0.results, unbalanced: vnet0.unbalanced });
    const row = {
      test: test.name,
      control: countsOf(control.results),
      vnet0: countsOf(vnet0.results),
      seconds: (performance.now() - started) / 1000,
    };
    rows.push(row);
    console.log(`${row.test}: ${row.vnet0} on vnet0, ${row.control} on the control, ${row.seconds.toFixed(1)} s`);
    for (const [kind, results] of [
      ['control', control.results],
      ['vnet0', vnet0.results],
    ] as const) {
      for (const { name, verdict, detail } of results) {
        if (values.verbose || verdict === 'fail')
          console.log(`  ${verdict} on ${kind}: ${name}${verdict === 'pass' ? '' : `: ${detail}`}`);
      }
    }
  }
  if (interrupt.signal.aborted) return 130;
  const judgement = judge(runs, exceptions);
  console.log(`\n${summary(rows)}\n`);
  for (const { name, reason } of leftOut) console.log(`left out: ${name}: ${reason}`);
  for (const text of judgement.excused) console.log(`excused: ${text}`);
  for (const problem of judgement.problems) console.log(`not ok: ${problem}`);
  const failed = judgement.failed + notBuilt.size;
  console.log(closingLine({ ...judgement, failed }));
  return failed === 0 ? 0 : 1;
}

/** Each step in turn, in a fresh network. */
async function runOn(
  kind: Network['kind'],
  test: Selftest,
): Promise<{ results: Result[]; unbalanced: string | undefined }> {
  const network = makeNetwork(kind, {
    iface: test.iface ?? 'vnet0',
    mtu: test.mtu ?? 1500,
    farTso: test.farTso ?? true,
    looped: test.addresses ?? true,
    attachOptions: test.attachOptions ?? [],
  });
  try {
    const results: Result[] = [];
    for (const step of test.steps) {
      if (interrupt.signal.aborted) break;
      results.push(...(await runStep(step, test, network)));
    }
    return { results, unbalanced: network.unbalanced() };
  } finally {
    network.remove();
  }
}

async function runStep(step: Step, test: Selftest, network: Network): Promise<Result[]> {
  for (let tries = test.tries ?? 1; ; tries--) {
    const { exit, output } = await shell(`${test.prepare ?? ':'}\n${step.run}`, network);
    const results = resultsOf(step.name, test.form ?? 'exit', exit, output);
    if (tries <= 1 || !results.some(({ verdict }) => verdict === 'fail')) return results;
  }
}

/** Runs lines of bash in a network; whatever they leave running ends with them. */
function shell(lines: string, { netns, iface }: Network): Promise<{ exit: number | null; output: string }> {
  const child = spawn('ip', ['netns', 'exec', netns, 'bash', '-c', lines], {
    cwd: programs(),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', IFACE: iface, MAC, ...ADDRESSES },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const end = (): void => {
    try {
      process.kill(-(child.pid as number), 'SIGKILL');
    } catch {
      // They have all ended.
    }
  };
  const limit = setTimeout(end, STEP_SECONDS * 1000);
  interrupt.signal.addEventListener('abort', end);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', end);
    child.once('close', (exit) => {
      clearTimeout(limit);
      interrupt.signal.removeEventListener('abort', end);
      resolve({ exit, output });
    });
  });
}

main().then(
  (code) => process.exit(code),
  (error: Error) => {
    console.error(`selftests: ${error.message}`);
    process.exit(1);
  },
);
