// SPDX-License-Identifier: MIT
/**
 * Killed at a step of attach, of an end of any kind, or of an adoption: the next attach works and loops, and detach
 * leaves nothing. On a private machine, where everything left over is ours. lifecycle-killed.test.ts tests attach
 * followed by detach, at every step. Here the suite tests some of the steps, and with VNET_BPF_TEST_ALL_STEPS=1 all of
 * them.
 */
import { spawn } from 'node:child_process';

import t, { type Test } from 'tap';

import { cannotRun, MAIN, SLOW } from '../../helpers/cli';
import { PrivateMachine } from '../../helpers/private-machine';

t.setTimeout(300_000 * SLOW);

const ATTACH = ['attach', 'vnet0', '--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'];
const KILLED = -1;

const TAKE_EVERY = process.env['VNET_BPF_TEST_ALL_STEPS'] === '1' ? 1 : 5;
const someOf = (steps: readonly string[]): string[] => steps.filter((_, i) => i % TAKE_EVERY === TAKE_EVERY - 1);

const killAt = (step: string): NodeJS.ProcessEnv => ({ VNET_BPF_TEST_KILL_AT: step });

/** The steps that a run of attach passes until it is ready, and those of its end by SIGTERM. */
async function stepsOf(t: Test, machine: PrivateMachine): Promise<{ attach: string[]; detach: string[] }> {
  const child = spawn(...machine.inside(process.execPath, [MAIN, ...ATTACH]), {
    env: { ...process.env, VNET_BPF_TEST_STEPS: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => child.exitCode === null && child.kill('SIGKILL'));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let stderr = '';
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  await Promise.race([ended, new Promise<void>((resolve) => child.stdout.once('data', () => resolve()))]);
  const steps = (): string[] => [...stderr.matchAll(/^step (.*)$/gm)].map(([, name]) => name as string);
  const attach = steps();
  const [{ pid }] = JSON.parse(machine.cli(['list', '--json']).stdout) as [{ pid: number }];
  machine.shell(`kill -TERM ${pid}`);
  await ended;
  return { attach, detach: steps().slice(attach.length) };
}

function checkLoops(t: Test, machine: PrivateMachine, when: string): void {
  const { status, stderr } = machine.cli([...ATTACH, '--daemon']);
  t.equal(status, 0, `${when}: attach works ${stderr.trim()}`);
  for (const address of ['10.77.0.1', 'fd77::1']) {
    t.equal(machine.run('ping', ['-c', '1', '-W', String(2 * SLOW), address]).status, 0, `${when}: ${address} answers`);
  }
  // It holds at rest: a neighbour's packet may just be on its way.
  const balanced = [1, 2, 3].some(() => machine.cli(['stats', 'vnet0', '--check']).status === 0);
  t.ok(balanced, `${when}: the accounting balances`);
}

function checkDetached(t: Test, machine: PrivateMachine, when: string): void {
  // "Not attached" is right, too, if the kill came so early or so late that there is nothing.
  const { status, stderr } = machine.cli(['detach', 'vnet0']);
  t.ok(status === 0 || /is not attached/.test(stderr), `${when}: detach answers ${stderr.trim()}`);
  t.same(machine.residue(), [], `${when}: nothing is left`);
}

/** Kills the running controller without a chance to clean up. */
const crash = (machine: PrivateMachine): string => {
  const [{ pid }] = JSON.parse(machine.cli(['list', '--json']).stdout) as [{ pid: number }];
  return machine.shell(`kill -KILL ${pid}`);
};

t.test('killed at a step', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  t.same(machine.residue(), [], 'the machine is empty');
  const steps = await stepsOf(t, machine);
  t.comment(`attach: ${steps.attach.join(' ')}; detach: ${steps.detach.join(' ')}`);
  t.ok(steps.attach.length > 5 && steps.detach.length > 3, 'attach and detach name their steps');
  t.same(machine.residue(), [], 'a run that nobody kills leaves nothing');

  await t.test('of attach, then attach', (t) => {
    for (const step of someOf(steps.attach)) {
      machine.cli([...ATTACH, '--daemon'], killAt(step));
      checkLoops(t, machine, `killed at ${step}`);
      checkDetached(t, machine, `killed at ${step}`);
    }
    t.end();
  });

  await t.test("of the controller's own end, then detach", (t) => {
    for (const step of someOf(steps.detach)) {
      t.equal(machine.cli([...ATTACH, '--daemon'], killAt(step)).status, 0, 'attach');
      checkDetached(t, machine, `the controller killed at ${step}`);
    }
    t.end();
  });

  await t.test('of an attach that clears away what a killed one left, then detach', (t) => {
    for (const step of someOf(steps.detach)) {
      machine.cli([...ATTACH, '--daemon'], killAt('datapath'));
      t.equal(machine.cli([...ATTACH, '--daemon'], killAt(step)).status, 1, `attach dies at ${step}`);
      checkDetached(t, machine, `killed at ${step}`);
    }
    t.end();
  });

  await t.test('of a detach of what a crash left, then attach, then detach', (t) => {
    machine.cli([...ATTACH, '--daemon']);
    for (const step of someOf(steps.detach)) {
      crash(machine);
      t.equal(machine.cli(['detach', 'vnet0'], killAt(step)).status, KILLED, `detach dies at ${step}`);
      checkLoops(t, machine, `killed at ${step}`);
    }
    checkDetached(t, machine, 'in the end');
    t.end();
  });

  await t.test('of an adoption, then an adoption', (t) => {
    machine.cli([...ATTACH, '--daemon']);
    for (const step of ['cleared', 'adopted', 'hairpin']) {
      crash(machine);
      t.equal(machine.cli([...ATTACH, '--daemon'], killAt(step)).status, 1, `the adoption dies at ${step}`);
      checkLoops(t, machine, `killed at ${step}`);
    }
    checkDetached(t, machine, 'in the end');
    t.end();
  });
});
