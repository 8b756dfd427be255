// SPDX-License-Identifier: MIT
/** The metrics: what each number of `stats --json` is called, and readings in the Prometheus text format, version 0.0.4. */
import { printable } from '../printable';
import { INFO, METRICS, STATE } from './definitions';
import { samples, type Reading, type Sample } from './samples';

const { version: VERSION } = require('../../package.json') as { version: string };

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** What a terminal would obey is made visible first; then the format's own escapes. */
const escaped = (value: string): string => printable(value).replace(/[\\"]/g, '\\$&');

function line({ metric, labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([name, text]) => `${name}="${escaped(text)}"`);
  return `${metric.name}{${pairs.join()}} ${value}`;
}

/** Each metric with its head, whether or not there are samples of it. */
export function prometheusText(readings: readonly Reading[], version: string): string {
  const blocks = new Map<string, string[]>();
  for (const { name, help, kind } of [INFO, STATE, ...Object.values(METRICS)]) {
    if (!blocks.has(name)) blocks.set(name, [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`]);
  }
  for (const sample of readings.flatMap((reading) => samples(reading, version))) blocks.get(sample.metric.name)?.push(line(sample));
  return [...blocks.values()].map((lines) => `${lines.join('\n')}\n`).join('\n');
}

/** The same, of this version: `stats --prometheus` and `attach --metrics`. */
export const metricsText = (readings: readonly Reading[]): string => prometheusText(readings, VERSION);
