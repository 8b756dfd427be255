// SPDX-License-Identifier: MIT
/** Reads the Prometheus text format, and finds each number of `stats --json` in it. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import type { NumberPath } from '../../src/datapath/stats';
import { METRICS } from '../../src/metrics/prometheus';
import { ROOT } from './cli';
import { run } from './netns';

/** Value by name and labels: `vnet_bpf_tx_packets_total{interface="vnet0",netns="lab"}`, labels sorted. */
export type Values = ReadonlyMap<string, number>;

const key = (name: string, labels: readonly string[]): string => `${name}{${[...labels].sort().join()}}`;

/** Throws for a line that does not have the format, and for a series that occurs twice. */
export function parseMetrics(text: string): Values {
  const values = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# HELP ') || line.startsWith('# TYPE ')) continue;
    const match = /^([a-z_]+)\{((?:[a-z_]+="[^"]*",?)*)\} (\S+)$/.exec(line);
    if (!match) throw new Error(`not a sample: ${line}`);
    const series = key(match[1] as string, (match[2] as string).match(/[a-z_]+="[^"]*"/g) ?? []);
    if (values.has(series)) throw new Error(`there twice: ${line}`);
    values.set(series, Number(match[3]));
  }
  return values;
}

/** Each number and truth value of a document by its path: `tx.packets`, `refused.full`. */
export function numbersOf(document: object, prefix = ''): [string, number][] {
  return Object.entries(document).flatMap(([name, value]: [string, unknown]): [string, number][] => {
    if (typeof value === 'object' && value !== null) return numbersOf(value, `${prefix}${name}.`);
    return typeof value === 'number' || typeof value === 'boolean' ? [[prefix + name, Number(value)]] : [];
  });
}

/** The series that must have a number of `stats --json`; throws if no metric is defined for it. */
export function seriesOf(pathOfNumber: string, who: { interface: string; netns: string }): string {
  const [group, reason] = pathOfNumber.split('.');
  const metric = METRICS[(group === 'refused' ? group : pathOfNumber) as NumberPath];
  if (!metric) throw new Error(`${pathOfNumber} is in no metric`);
  const labels = [`interface="${who.interface}"`, `netns="${who.netns}"`];
  const because = group === 'refused' ? reason : metric.reason;
  return key(metric.name, because === undefined ? labels : [...labels, `reason="${because}"`]);
}

/** The numbers that are missing from the text or differ in it. */
export function missingFrom(values: Values, document: object, who: { interface: string; netns: string }): string[] {
  return numbersOf(document)
    .filter(([name, value]) => values.get(seriesOf(name, who)) !== value)
    .map(([name, value]) => `${name} is ${value}, not ${values.get(seriesOf(name, who))}`);
}

/** The promtool that make has installed, or the machine's. */
const PROMTOOL = path.join(ROOT, '.cache', 'bin', 'promtool');
const promtool = fs.existsSync(PROMTOOL) ? PROMTOOL : 'promtool';

/** The reason why promtool cannot be used, or false. */
export function withoutPromtool(): string | false {
  try {
    return run(promtool, ['--version']).status === 0 ? false : 'promtool does not run';
  } catch {
    return 'there is no promtool: src/setup/program.sh could not download it';
  }
}

/** promtool's findings about a text; empty if it follows Prometheus's conventions. */
export function promtoolSays(text: string): string {
  const { status, stdout, stderr } = run(promtool, ['check', 'metrics'], { input: text });
  return `${stdout}${stderr}${status === 0 ? '' : `status ${status}`}`.trim();
}

/** promtool's findings about a file. */
function promtoolChecks(what: 'rules' | 'config', text: string): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-bpf-test-'));
  try {
    const file = path.join(directory, 'file.yml');
    fs.writeFileSync(file, text);
    const { stdout, stderr } = run(promtool, ['check', what, file]);
    return (stdout + stderr).replace(/^Checking .*\n/, '').trim();
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

/** promtool's findings about expressions, checked as rules. The file is JSON, which is also YAML. */
export function promtoolRules(expressions: readonly string[]): string {
  const rules = expressions.map((expr, i) => ({ record: `test:${i}`, expr }));
  return promtoolChecks('rules', JSON.stringify({ groups: [{ name: 'test', rules }] }));
}

export const promtoolConfig = (text: string): string => promtoolChecks('config', text);
