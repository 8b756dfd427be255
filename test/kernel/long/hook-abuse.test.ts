// SPDX-License-Identifier: MIT
/** Hooks that misbehave: the loop continues, the accounting balances, and the log names the file and the line. */
import * as fs from 'node:fs';

import t, { type Test } from 'tap';

import { ControlClient } from '../../../src/control/socket';
import { controlSocket, logFile } from '../../../src/state/store';
import { attachedIn, attachmentOf, cannotRun, checkAccounting, cliOk, SLOW, type Attached } from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { hookFile } from '../../helpers/hook-file';
import { okIn, quietNetns } from '../../helpers/netns';
import { snmpCounter } from '../../helpers/snmp';
import { withoutArp } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

const ADDRESS = '10.77.0.1';
const PINGS = 20;
/** Each ping passes the loop twice: the question and the answer. */
const FRAMES = 2 * PINGS;

interface Abuse {
  name: string;
  source: string;
  /** What the log must say after the file's name; null if there is nothing to report. */
  says: RegExp | null;
  errors: number | 'some';
  /** The loss that `ping` reports, in percent. */
  lost?: number;
  args?: readonly string[];
  injected?: boolean;
  /** Seconds between pings: more where each takes its time, since ping does not wait long for the last. */
  interval?: string;
}

const ABUSES: readonly Abuse[] = [
  {
    name: 'throws',
    source: `export default () => {\n  throw new TypeError('on purpose');\n};`,
    says: /:2: TypeError: on purpose/,
    errors: FRAMES,
  },
  {
    name: 'throws no error',
    source: `export default () => {\n  throw 'text';\n};`,
    says: /: threw text/,
    errors: FRAMES,
  },
  {
    name: 'throws what cannot be shown',
    source: `export default () => {\n  throw Object.create(null);\n};`,
    says: /threw something that cannot be shown; the frame passes unjudged/,
    errors: FRAMES,
  },
  { name: 'answers a number', source: `\nexport default (frame) => 42;`, says: /:2: answered with 42/, errors: FRAMES },
  {
    name: 'answers a promise',
    source: `export default async () => 'pass';`,
    says: /:1: answered with a promise/,
    errors: FRAMES,
  },
  {
    name: 'answers 0 bytes',
    source: `export default () => new Uint8Array(0);`,
    says: /:1: answered with a frame of 0 bytes/,
    errors: FRAMES,
  },
  {
    name: 'answers 100,000 bytes',
    source: `export default () => new Uint8Array(100000);`,
    says: /:1: answered with a frame of 100000 bytes/,
    errors: FRAMES,
  },
  {
    name: 'injects 0 bytes',
    source: `export default (frame, nic) => {\n\n  nic.inject(new Uint8Array(0));\n};`,
    says: /:3: RangeError: cannot inject: a frame of 0 bytes/,
    errors: FRAMES,
  },
  {
    name: 'injects 100,000 bytes',
    source: `export default (frame, nic) => nic.inject(new Uint8Array(100000));`,
    says: /:1: RangeError/,
    errors: FRAMES,
  },
  {
    name: 'injects no frame',
    source: `export default (frame, nic) => nic.inject('frame');`,
    says: /:1: RangeError: cannot inject: a frame is a Uint8Array/,
    errors: FRAMES,
  },
  {
    name: 'drops what it fails on',
    source: `export default () => {\n  throw new Error('no');\n};`,
    says: /:2: Error: no/,
    errors: PINGS,
    lost: 100,
    args: ['--on-hook-error', 'drop'],
  },
  {
    name: 'is taken off after an error',
    source: `export default () => {\n  throw new Error('no');\n};`,
    says: /:2: Error: no/,
    errors: 1,
    args: ['--on-hook-error', 'detach'],
  },
  {
    name: 'mutates what it was shown',
    source: `export default (frame) => {\n  frame.bytes.fill(0xff);\n  return 'pass';\n};`,
    says: null,
    errors: 0,
  },
  {
    name: 'writes into the view',
    source: `'use strict';\nexport default (frame) => {\n  frame.length = 3;\n};`,
    says: /:3: TypeError/,
    errors: FRAMES,
  },
  {
    name: 'keeps the view',
    source: `let kept;\nexport default (frame, nic) => {\n  kept = frame;\n  nic.after(1, () => kept.ethernet.source);\n};`,
    says: /:4: Error: this frame was looked at after the hook had returned/,
    errors: FRAMES,
  },
  {
    name: 'keeps the bytes and writes into them',
    source: `const kept = [];\nexport default (frame) => {\n  kept.push(frame.bytes);\n  for (const bytes of kept) bytes.fill(7);\n};`,
    says: null,
    errors: 0,
  },
  {
    name: 'takes 50 ms for a frame',
    source: `export default () => {\n  for (const end = Date.now() + 50; Date.now() < end; );\n};`,
    says: null,
    errors: 0,
    interval: '0.15',
  },
  {
    name: 'fails in a timer of Node',
    source: `setInterval(() => {\n  throw new Error('later');\n}, 20);\nexport default () => 'pass';`,
    says: /:2: Error: later/,
    errors: 'some',
  },
  {
    name: 'fails in a promise',
    source: `export default () => {\n  void Promise.reject(new Error('rejected'));\n};`,
    says: /:2: Error: rejected/,
    errors: FRAMES,
  },
  {
    name: 'fails in start',
    source: `export default { frame: () => 'pass', start() {\n  throw new Error('at once');\n} };`,
    says: /:2: Error: at once/,
    errors: 1,
  },
  {
    name: 'ends its thread',
    source: `setTimeout(() => process.exit(1), 100);\nexport default () => 'pass';`,
    says: /it ended; the loop goes on without it: all frames pass unjudged/,
    errors: 1,
  },
  {
    name: 'injects for each frame, which loop for ever if they are echoed',
    source: `export default (frame, nic) => {\n  for (let i = 0; i < 50; i++) nic.inject(new Uint8Array(60));\n};`,
    says: null,
    errors: 0,
    injected: true,
  },
];

/**
 * Counts the replies from the kernel's counters: ping itself hardly waits for the last one, which a change of threads
 * may delay.
 */
async function pingThrough(t: Test, nic: Attached, lost: number, interval: string): Promise<void> {
  const answers = (): number => snmpCounter(nic.netns, 'Icmp', 'InEchoReps');
  const before = answers();
  okIn(nic.netns, 'sh', ['-c', `ping -q -c ${PINGS} -i ${interval} -W 1 ${ADDRESS} || true`]);
  const expected = lost === 100 ? 0 : PINGS;
  t.ok(
    await eventually(() => answers() - before === expected),
    `${lost} % of the pings are lost: ${answers() - before} answers to ${PINGS}`,
  );
}

const logOf = (nic: Attached): string => fs.readFileSync(logFile(attachmentOf(nic).id), 'utf8');

/** Does what the command `hook` does, without the time that a command takes to start. */
async function useHook(nic: Attached, file: string | null): Promise<void> {
  using client = await ControlClient.connect(controlSocket(attachmentOf(nic).id));
  await client.ask({ order: 'hook', file, onError: 'pass' }, 60_000);
}

/** Passes pings through a hook that is on the interface already, and looks at what became of them. */
async function abused(
  t: Test,
  nic: Attached,
  file: string,
  abuse: Abuse,
  before = { errors: 0, injected: 0 },
  logged = 0,
): Promise<void> {
  const { says, errors, lost = 0, injected = false, interval = '0.02' } = abuse;
  await pingThrough(t, nic, lost, interval);
  const log = (): string => logOf(nic).slice(logged);
  const said = (): boolean =>
    log()
      .split('\n')
      .some((line) => (line.includes(file) || line.includes('hook')) && says?.test(line));
  if (says) t.ok(await eventually(said), `the log says ${says}: ${log()}`);
  const stats = await nic.atRest();
  const counted = stats.hooks.errors - before.errors;
  if (errors === 'some') t.ok(counted > 0, `${counted} errors are counted`);
  else t.equal(counted, errors, 'each error is counted');
  t.equal(stats.hooks.injected > before.injected, injected);
  t.equal(stats.state, 'running', 'the loop goes on');
  if (lost === 0 && !injected) checkAccounting(t, nic, stats);
  else
    t.match(cliOk(['stats', nic.iface, '--netns', nic.netns, '--check']), 'balanced', 'the frame accounting balances');
}

/** Hooks after which TX and RX of the interface differ get an interface of their own. */
const needsItsOwn = ({ args, injected }: Abuse): boolean => args !== undefined || injected === true;

t.test('one hook after another', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);
  withoutArp(nic, ADDRESS);
  for (const abuse of ABUSES.filter((each) => !needsItsOwn(each))) {
    await t.test(`a hook that ${abuse.name}`, async (t) => {
      const file = hookFile(t, 'bad.mjs', abuse.source);
      // The previous hook is off, and has logged everything.
      await useHook(nic, null);
      const { hooks } = await nic.atRest();
      const logged = logOf(nic).length;
      await useHook(nic, file);
      await abused(t, nic, file, abuse, hooks, logged);
    });
  }
});

for (const abuse of ABUSES.filter(needsItsOwn)) {
  t.test(`a hook that ${abuse.name}`, { skip: cannotRun }, async (t) => {
    const file = hookFile(t, 'bad.mjs', abuse.source);
    const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, '--hook', file, ...(abuse.args ?? [])]);
    withoutArp(nic, ADDRESS);
    await abused(t, nic, file, abuse);
  });
}
