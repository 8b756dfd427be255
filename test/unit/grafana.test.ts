// SPDX-License-Identifier: MIT
/** docs/grafana.json: it is a dashboard, and asks for nothing that is not served. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { prometheusText } from '../../src/metrics/prometheus';
import { ROOT } from '../helpers/cli';
import { parseMetrics, promtoolRules, withoutPromtool } from '../helpers/prometheus';
import { sampleStats } from '../helpers/sample-stats';

interface Dashboard {
  title: string;
  panels: {
    id: number;
    title: string;
    gridPos: { x: number; y: number; w: number; h: number };
    targets: { expr: string; legendFormat: string }[];
  }[];
  templating: { list: { name: string; definition?: string }[] };
}

const dashboard = JSON.parse(fs.readFileSync(path.join(ROOT, 'docs', 'grafana.json'), 'utf8')) as Dashboard;
const expressions = [
  ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ...dashboard.templating.list.flatMap(({ definition = [] }) => definition),
];
/** As Grafana fills them in. */
const filledIn = (expression: string): string =>
  expression.replaceAll('$__rate_interval', '1m').replace(/\$(interface|netns)/g, '.*');

t.test('every metric and label in it is served', async (t) => {
  const text = prometheusText([{ stats: sampleStats(), netns: 'lab' }], '1.2.3');
  const served = [...parseMetrics(text).keys()];
  const used = [...new Set(expressions.flatMap((expression) => expression.match(/vnet_bpf_\w+/g) ?? []))];
  t.ok(used.length >= 15, 'it uses many');
  t.same(
    used.filter((name) => !served.some((series) => series.startsWith(`${name}{`))),
    [],
  );
  for (const group of ['tx_', 'rx_', 'queue_used', 'low_watermark', 'stops', 'wakes', 'refused', 'held_now'])
    t.ok(
      used.some((name) => name.includes(group)),
      group,
    );
  const counters = used.filter((name) => name.endsWith('_total'));
  const all = expressions.join('\n');
  t.same(
    counters.filter((name) => !all.includes(`rate(${name}{`) && !/held_again|lost_wakeups/.test(name)),
    [],
    'counters are shown as rates',
  );
  const labels = dashboard.panels.flatMap(({ targets }) =>
    targets.flatMap(({ legendFormat }) => [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, name]) => name)),
  );
  t.same([...new Set(labels)].sort(), ['interface', 'netns', 'reason']);
});

t.test('its panels do not overlap', async (t) => {
  const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  );
  t.equal(new Set(cells).size, cells.length);
  t.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length, 'and have numbers of their own');
});

t.test('Prometheus understands the expressions', { skip: withoutPromtool() }, async (t) => {
  const queries = expressions.filter((expression) => !expression.startsWith('label_values')).map(filledIn);
  t.match(promtoolRules(queries), new RegExp(`^SUCCESS: ${queries.length} rules`));
  t.match(promtoolRules(['rate(vnet_bpf_x[1m']), 'FAILED', 'promtool would complain');
});
