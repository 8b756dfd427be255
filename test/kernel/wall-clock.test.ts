// SPDX-License-Identifier: MIT
/**
 * The wall clock goes back an hour while an interface loops: all measurements continue. The machine's clock is not
 * changed, only the controller's view of it.
 */
import t from 'tap';

import { cannotRun, MAIN, SLOW } from '../helpers/cli';
import { PrivateMachine } from '../helpers/private-machine';

t.setTimeout(120_000 * SLOW);

/** Loaded before the program: the wall clock of this process goes back when a file appears. */
const SHIM = `
const { existsSync } = require('node:fs');
const Real = Date;
const now = () => Real.now() - (existsSync('/run/back') ? 3600000 : 0);
globalThis.Date = class extends Real {
  constructor(...args) { super(...(args.length === 0 ? [now()] : args)); }
  static now() { return now(); }
};
`;

t.test(
  'stops and wakes are said after the clock went back, and log shows them behind those before',
  { skip: cannotRun },
  async (t) => {
    const machine = await PrivateMachine.start(t);
    machine.shell(`cat >/run/shim.js <<'END'\n${SHIM}\nEND`);
    const attach = ['--addr', '10.77.0.1/24', '--ring-size', '256K', '--when-full', 'drop'].join(' ');
    machine.shell(
      `VNET_BPF_TEST_POLL_DELAY_US=20000 ${process.execPath} -r /run/shim.js ${MAIN} attach vnet0 ${attach} >/run/said 2>&1 & for i in $(seq ${300 * SLOW}); do grep -q loops /run/said && exit 0; sleep 0.1; done; cat /run/said >&2; exit 1`,
    );
    const burst = (): string => machine.shell('ping -f -l 600 -s 1400 -c 600 -W 1 -q 10.77.0.1 >/dev/null || true');
    const lines = (): string[] => machine.cli(['log', 'vnet0']).stdout.trim().split('\n');
    /** The lines since the last call that say that the queue stopped. */
    let seen = 0;
    const stops = (): string[] => {
      const all = lines();
      const found = all.slice(seen).filter((line) => line.includes('queue stopped'));
      seen = all.length;
      return found;
    };
    burst();
    const before = stops();
    t.ok(before.length > 0, `before: ${before[0]}`);
    machine.shell('touch /run/back; sleep 6');
    stops();
    burst();
    machine.shell('sleep 3');
    const after = stops();
    t.ok(after.length > 0, `after: ${after[0]}`);
    t.ok((after[0] ?? '~') < (before[0] as string), 'with the times of the clock that went back');
    t.match(lines()[0], /VNET: loaded: vnet0/, 'the log stays in the order in which it was written');
    t.equal(machine.cli(['stats', 'vnet0', '--check']).status, 0, 'the accounting balances');
    t.equal(machine.cli(['detach', 'vnet0']).status, 0);
  },
);
