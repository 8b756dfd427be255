// SPDX-License-Identifier: MIT
/** docs/metrics.md: its commands as written, on a machine of its own; Prometheus takes its configuration. */
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, MAIN, ROOT, SLOW } from '../../helpers/cli';
import { blocksOf, scriptOf, type Block } from '../../helpers/document';
import { PrivateMachine } from '../../helpers/private-machine';
import { parseMetrics, promtoolConfig, promtoolRules, promtoolSays, withoutPromtool } from '../../helpers/prometheus';
import { withoutTools } from '../../helpers/traffic';

t.setTimeout(120_000 * SLOW);

const DOCUMENT = path.join(ROOT, 'docs', 'metrics.md');
const inLanguage = (language: string): Block[] => blocksOf(DOCUMENT).filter((block) => block.language === language);

const PREPARE = `
set -e
mkdir -p /run/bin
printf '#!/bin/sh\\nexec "%s" "%s" "$@"\\n' "$NODE" "$MAIN" >/run/bin/vnet-bpf
chmod +x /run/bin/vnet-bpf
PATH=/run/bin:$PATH
`;

t.test('the commands do what they say', { skip: cannotRun || withoutTools('curl', 'ip') }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const { status, stdout, stderr } = machine.run('bash', ['-c', PREPARE + scriptOf(inLanguage('sh'))], {
    NODE: process.execPath,
    MAIN,
  });
  t.equal(status, 0, stderr);
  const [served = '', printed = ''] = stdout.match(/^# HELP vnet_bpf_info [^]*?^vnet_bpf_controller_pid.*$/gm) ?? [];
  for (const text of [served, printed]) {
    t.ok(
      (parseMetrics(text).get('vnet_bpf_rx_packets_total{interface="vnet0",netns="lab"}') ?? 0) >= 8,
      'the pings were counted',
    );
  }
  t.test('promtool', { skip: withoutPromtool() }, async (t) => t.equal(promtoolSays(`${served}\n`), ''));
  t.match(
    machine.residue().filter((line) => !/^.run.(netns|bin)$/.test(line)),
    [],
    'and nothing is left',
  );
});

t.test('Prometheus takes its configuration and the accounting', { skip: withoutPromtool() }, async (t) => {
  const [configuration] = inLanguage('yaml');
  t.match(promtoolConfig(configuration?.text ?? 'none'), 'SUCCESS');
  t.match(promtoolConfig('scrape_configs: 5'), 'FAILED', 'promtool would complain');
  t.match(promtoolRules(inLanguage('promql').map(({ text }) => text)), /^SUCCESS: 1 rules/);
});
