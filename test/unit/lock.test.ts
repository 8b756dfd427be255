// SPDX-License-Identifier: MIT
/** File locks: that which holds one, and that which only looks. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { tryLock } from '../../src/native/libc';
import { FileLock } from '../../src/state/lock';

t.test('one that looks whether a lock is held does not look like its holder', (t) => {
  const file = path.join(t.testdir({ lock: '' }), 'lock');
  const looking = fs.openSync(file, 'r');
  t.teardown(() => fs.closeSync(looking));
  t.ok(tryLock(looking, 'shared'), 'as isHeld() does for a moment');
  t.notOk(FileLock.isHeld(file), 'others see that nobody holds it');
  t.equal(FileLock.holder(file), null);
  t.equal(FileLock.tryTake(file), null, 'but nobody can take it in that moment');
  t.end();
});

t.test('a lock that is held', (t) => {
  const directory = t.testdir({ lock: '' });
  fs.chmodSync(directory, 0o700);
  const file = path.join(directory, 'lock');
  using lock = FileLock.tryTake(file);
  t.ok(lock);
  t.ok(FileLock.isHeld(file));
  t.equal(FileLock.holder(file), process.pid);
  t.equal(FileLock.tryTake(file), null);
  t.throws(() => FileLock.take(file, 0), { code: 'BUSY', message: new RegExp(`process ${process.pid}`) });
  lock?.close();
  t.notOk(FileLock.isHeld(file));
  t.end();
});
