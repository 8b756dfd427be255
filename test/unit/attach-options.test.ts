// SPDX-License-Identifier: MIT
/** The table of the options of `attach`, and what is derived from it. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { VnetError } from '../../src/errors';
import { renewed } from '../../src/lifecycle/adopt';
import { requireSameOptions } from '../../src/lifecycle/plan';
import {
  type AttachOptions,
  DEFAULTS,
  OPTION_ROWS,
  pollOptionsOf,
  RUNNING_ROWS,
} from '../../src/options/attach-options';
import { ROOT } from '../helpers/cli';
import { RECORD } from '../helpers/record';

t.test('each option has a flag and a key of its own, and a default', async (t) => {
  t.equal(new Set(OPTION_ROWS.map(({ flag }) => flag)).size, OPTION_ROWS.length);
  t.same(
    OPTION_ROWS.map(({ key }) => key),
    Object.keys(DEFAULTS),
  );
  t.same(
    Object.entries(DEFAULTS).filter(([, value]) => value === undefined),
    [],
  );
  for (const { flag, describe, isFlag, choices, value } of OPTION_ROWS)
    t.ok(/^[a-zA-Z].*[^.\]]$/.test(describe) && (isFlag ?? choices ?? value) !== undefined, `--${flag}: ${describe}`);
});

t.test('each row has a comment, which editors show to users of the library', async (t) => {
  const source = fs.readFileSync(path.join(ROOT, 'src/options/attach-options.ts'), 'utf8');
  t.same(
    OPTION_ROWS.filter(
      ({ name }) => !source.includes(`. */\n  ${name}: {`) && !source.includes(`.\n   */\n  ${name}: {`),
    ).map(({ name }) => name),
    [],
  );
});

t.test('the polling threads get what the record keeps', async (t) => {
  const told = pollOptionsOf({ ...RECORD, budget: 7, busyPollUs: 50 });
  t.match(told, {
    queues: 1,
    ringBytes: 8 << 20,
    queuePackets: 0,
    budget: 7,
    gro: true,
    busyPollUs: 50,
    pollDelayUs: 0,
  });
  t.same(Object.keys(told), [...RUNNING_ROWS.map(({ key }) => key), 'pollDelayUs'], 'and nothing else');
});

t.test('adoption', async (t) => {
  const options = (more: Partial<AttachOptions>): AttachOptions => ({ ...DEFAULTS, ...more });
  const refusal = (more: Partial<AttachOptions>): string => {
    try {
      requireSameOptions({ ...RECORD, queues: 2, ringBytes: 1 << 20, queuePackets: 100 }, options(more));
    } catch (error) {
      if (error instanceof VnetError && error.code === 'STATE') return error.message;
      throw error;
    }
    return 'adopted';
  };
  t.equal(refusal({}), 'adopted', 'defaults take the values of the attachment');
  t.equal(
    refusal({ type: 'veth', queues: 2, ringBytes: 1 << 20, queuePackets: 100, whenFull: 'hold' }),
    'adopted',
    'the same options',
  );
  t.equal(refusal({ mtu: 1400, mac: '02:00:00:00:00:01' }), 'adopted', 'options that take effect if they are given');
  t.equal(
    refusal({ budget: 1, gro: false, busyPollUs: 0, hairpin: true, hook: '/etc/hook.ts', onHookError: 'drop' }),
    'adopted',
    'options that change',
  );
  t.equal(refusal({ queues: 3 }), 'interface vnet0: a crashed controller left it with --queues 2');
  t.equal(
    refusal({ type: 'dummy', ringBytes: 4 << 20, queuePackets: 5, whenFull: 'drop' }),
    'interface vnet0: a crashed controller left it with --type veth, --ring-size 1048576, --queue-packets 100, --when-full hold',
  );
  const changed = renewed(options({ budget: 1, queues: 3 }));
  t.match(changed, { budget: 1, gro: true, busyPollUs: null });
  t.notOk('queues' in changed);
});
