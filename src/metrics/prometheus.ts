// SPDX-License-Identifier: MIT
/** The Prometheus text format. The client is loaded with this module, so only where metrics are asked for. */
import { Counter, Gauge, Registry } from 'prom-client';

import { INFO, METRICS, STATE } from './definitions';
import { samples, type Reading } from './samples';

export const CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** The labels of each metric by its name; a client has to be told before. */
function labelsOf(name: string): string[] {
  const who = ['interface', 'netns'];
  if (name === INFO.name) return [...who, 'version', 'backend', 'attach'];
  if (name === STATE.name) return [...who, 'state'];
  const byReason = name === METRICS.refused.name || Object.values(METRICS).some((metric) => metric.name === name && metric.reason !== undefined);
  return byReason ? [...who, 'reason'] : who;
}

/** Readings are absolute, and a counter of the client can only be added to: each text has a registry of its own. */
export function prometheusText(readings: readonly Reading[], version: string): Promise<string> {
  const registry = new Registry();
  const known = new Map<string, Counter | Gauge>();
  for (const { name, help, kind } of [INFO, STATE, ...Object.values(METRICS)]) {
    if (known.has(name)) continue;
    const configuration = { name, help, labelNames: labelsOf(name), registers: [registry] };
    known.set(name, kind === 'counter' ? new Counter(configuration) : new Gauge(configuration));
  }
  for (const reading of readings) {
    for (const { metric, labels, value } of samples(reading, version)) known.get(metric.name)?.inc(labels, value);
  }
  return registry.metrics();
}
