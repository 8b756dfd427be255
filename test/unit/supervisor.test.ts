// SPDX-License-Identifier: MIT
/** What fails again and again is said once. */
import t from 'tap';

import { Attempts, type Part, Supervisor } from '../../src/controller/supervisor';
import { VnetError } from '../../src/errors';
import { fakeClock } from '../helpers/fake-clock';

const fail = (why: string) => (): never => {
  throw new Error(why);
};

t.test('a failure is said once, another reason and the end of it, too', (t) => {
  const log: string[] = [];
  const attempts = new Attempts((text) => log.push(text));
  t.equal(attempts.try('a look', fail('EMFILE')), false);
  attempts.try('a look', fail('EMFILE'));
  attempts.try('a look', fail('ENOSPC'));
  t.equal(
    attempts.try('a look', () => undefined),
    true,
  );
  attempts.try('a look', () => undefined);
  t.same(log, ['a look: EMFILE; it is tried again', 'a look: ENOSPC; it is tried again', 'a look: done after all']);
  t.end();
});

t.test('that another process is busy is said once it has lasted for seconds', (t) => {
  const time = fakeClock(t);
  const log: string[] = [];
  const attempts = new Attempts((text) => log.push(text));
  const isBusy = (pid: number) => (): never => {
    throw new VnetError('BUSY', 'lock', `process ${pid}`);
  };
  attempts.try('a look', isBusy(1));
  time.now += 1000;
  attempts.try('a look', () => undefined);
  t.same(log, [], 'not what is over soon');
  for (let second = 0; second < 8; second++, time.now += 1000) attempts.try('a look', isBusy(1));
  t.same(log, ['a look: lock: process 1; it is tried again']);
  attempts.try('a look', () => undefined);
  t.same(log.slice(1), ['a look: done after all']);
  t.end();
});

t.test('a supervisor', async (t) => {
  const log: string[] = [];
  const broken: string[] = [];
  const supervise = (...parts: Part[]): Supervisor => {
    const supervisor = new Supervisor({
      parts,
      attempts: new Attempts((text) => log.push(text)),
      log: (text) => log.push(text),
      broken: (what) => broken.push(what),
    });
    t.teardown(() => supervisor.close());
    return supervisor;
  };
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  await t.test('puts back what it can, and goes on looking at the rest', async (t) => {
    let there = false;
    supervise(
      { name: 'one', look: fail('EMFILE') },
      { name: 'two', look: () => (there ? null : { what: 'two is gone', repair: () => (there = true) }) },
    ).look();
    await settle();
    t.equal(there, true);
    t.same(log.splice(0), ['looking at one: EMFILE; it is tried again', 'two is gone: put back']);
  });

  await t.test('tries again what it could not put back, one try at a time', async (t) => {
    let tries = 0;
    let end = (_error?: Error): void => undefined;
    const repair = (): Promise<void> =>
      new Promise((resolve, reject) => (tries++, (end = (error) => (error ? reject(error) : resolve()))));
    const supervisor = supervise({ name: 'one', look: () => ({ what: 'one is gone', repair }) });
    supervisor.look();
    supervisor.look();
    t.equal(tries, 1, 'not while it is under way');
    end(new Error('ENOSPC'));
    await settle();
    supervisor.look();
    t.equal(tries, 2, 'but when it has failed');
    end();
    await settle();
    t.same(log.splice(0), [
      'putting back one: ENOSPC; it is tried again',
      'one is gone: put back',
      'putting back one: done after all',
    ]);
  });

  await t.test('does not fight over a setting, nor fill the log about what it needs', async (t) => {
    const time = fakeClock(t);
    const repaired = { setting: 0, file: 0, refused: 0 };
    const supervisor = supervise(
      { name: 'one', look: () => ({ what: 'one is changed', repair: () => repaired.setting++ }) },
      { name: 'two', look: () => ({ what: 'two is gone', repair: () => repaired.file++, always: true }) },
      {
        name: 'three',
        look: () => ({ what: 'three is gone', repair: () => (repaired.refused++, fail('ENOSPC')()) }),
      },
    );
    for (let second = 0; second < 40; second++, time.now += 1000) {
      supervisor.look();
      await settle();
    }
    t.same(repaired, { setting: 20, file: 40, refused: 40 }, 'what fails is tried again and again');
    t.equal(log.filter((line) => line.endsWith(': put back')).length, 40);
    t.same(
      log.splice(0).filter((line) => !line.endsWith(': put back')),
      [
        'putting back three: ENOSPC; it is tried again',
        'one is changed, again and again: it is left as it is for 1 min',
        'two is gone, again and again: it is put back each time, which the log does not say for 1 min',
      ],
    );
    time.now += 60_000;
    supervisor.look();
    await settle();
    t.same([repaired.setting, log.splice(0)], [21, ['one is changed: put back', 'two is gone: put back']], 'then anew');
  });

  await t.test('ends what cannot go on, once', (t) => {
    const supervisor = supervise({ name: 'one', look: () => ({ what: 'one is gone' }) });
    supervisor.look();
    t.same([log, broken], [['one is gone: it cannot go on without'], ['one is gone']]);
    t.end();
  });
});
