// SPDX-License-Identifier: MIT
/** Steps: their order, undoing them, the faults of tests, and their words. */
import t from 'tap';

import { inWords, runStep, runSteps, type Step } from '../../src/lifecycle/steps';

/** A step that notes what happens to it. */
function noting(notes: string[], name: string, fails: { run?: boolean; undo?: boolean } = {}): Step {
  const note = (what: string, fail = false): void => {
    notes.push(what);
    if (fail) throw new Error(`${what} failed`);
  };
  return {
    name,
    says: () => [`${name} is said`, name === 'b' && 'b has another line'],
    run: async () => {
      await Promise.resolve();
      note(`run ${name}`, fails.run);
    },
    undo: () => note(`undo ${name}`, fails.undo),
  };
}

t.test('steps run in order', async (t) => {
  const notes: string[] = [];
  await runSteps(['a', 'b', 'c'].map((name) => noting(notes, name)));
  t.same(notes, ['run a', 'run b', 'run c']);
  t.equal(await runStep({ name: 'a', run: () => 7 }), 7, 'a single one returns its result');
});

t.test('the step that fails and those before it are undone, the last one first', async (t) => {
  const notes: string[] = [];
  const steps = [
    noting(notes, 'a'),
    { name: 'without undo', run: () => undefined },
    noting(notes, 'b', { run: true }),
    noting(notes, 'c'),
  ];
  await t.rejects(runSteps(steps), { message: 'run b failed' });
  t.same(notes, ['run a', 'run b', 'undo b', 'undo a']);
});

t.test('an undo that fails does not keep the others', async (t) => {
  const notes: string[] = [];
  await t.rejects(runSteps([noting(notes, 'a'), noting(notes, 'b', { run: true, undo: true })]), {
    message: 'undo b failed',
  });
  t.same(notes, ['run a', 'run b', 'undo b', 'undo a']);
});

t.test('a fault that a test asks for comes once the step has run', async (t) => {
  const notes: string[] = [];
  process.env['VNET_BPF_TEST_FAIL_AT'] = 'a';
  t.teardown(() => delete process.env['VNET_BPF_TEST_FAIL_AT']);
  await t.rejects(runSteps([noting(notes, 'a'), noting(notes, 'b')]), { message: /^step a: / });
  t.same(notes, ['run a', 'undo a']);
});

t.test('steps in words', async (t) => {
  const notes: string[] = [];
  const lines = inWords([
    noting(notes, 'a'),
    { name: 'silent', run: () => notes.push('run silent') },
    noting(notes, 'b'),
  ]);
  t.same(lines, ['a is said', 'b is said', 'b has another line']);
  t.same(notes, [], 'nothing has run');
});
