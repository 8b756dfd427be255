// SPDX-License-Identifier: MIT
/** docs/SECURITY.md, R8: another user replaces a file or a directory while it is being opened. */
import fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { openOutput } from '../../src/native/trusted';
import { cannotRun } from '../helpers/cli';
import { hookDirectory } from '../helpers/hook-file';
import { ok } from '../helpers/netns';
import { SOMEBODY } from '../helpers/trap';

const SECRET = 'root:x:0:0\n';

/** Calls a function as soon as `file` has been examined for the nth time, by its name or through a descriptor. */
function onceSeen(t: Test, file: string, nth: number, change: () => void): void {
  const { ino } = fs.lstatSync(file);
  let left = nth;
  const { lstatSync, fstatSync } = fs;
  const watched =
    (look: (...args: never[]) => fs.Stats) =>
    (...args: never[]): fs.Stats => {
      const stat = look(...args);
      if (stat?.ino === ino && --left === 0) change();
      return stat;
    };
  Object.assign(fs, { lstatSync: watched(lstatSync as never), fstatSync: watched(fstatSync as never) });
  t.teardown(() => Object.assign(fs, { lstatSync, fstatSync }));
}

interface Place {
  victim: string;
  at(name: string): string;
}

function place(t: Test): Place {
  const root = hookDirectory(t);
  fs.chmodSync(root, 0o755);
  const at = (name: string): string => path.join(root, name);
  for (const name of ['theirs', 'theirs/d', 'etc']) fs.mkdirSync(at(name));
  for (const name of ['theirs', 'theirs/d']) fs.chownSync(at(name), SOMEBODY, SOMEBODY);
  fs.writeFileSync(at('etc/passwd'), SECRET, { mode: 0o600 });
  return { victim: at('etc/passwd'), at };
}

for (const name of ['passwd', 'new']) {
  t.test(`R8: a directory that becomes a link: ${name}`, { skip: cannotRun }, async (t) => {
    const { victim, at } = place(t);
    onceSeen(t, at('theirs/d'), 1, () => {
      fs.renameSync(at('theirs/d'), at('theirs/old'));
      fs.symlinkSync(at('etc'), at('theirs/d'));
    });
    t.throws(() => openOutput(at(`theirs/d/${name}`)), /not a directory|moved by somebody else/);
    t.same(fs.readdirSync(at('etc')), ['passwd'], 'nothing is made');
    t.equal(fs.readFileSync(victim, 'utf8'), SECRET, 'nothing is emptied');
  });
}

t.test('R8: a directory above that becomes a link', { skip: cannotRun }, async (t) => {
  const { victim, at } = place(t);
  fs.mkdirSync(at('etc/d'));
  fs.renameSync(victim, at('etc/d/passwd'));
  onceSeen(t, at('theirs/d'), 1, () => {
    fs.renameSync(at('theirs'), at('old'));
    fs.symlinkSync(at('etc'), at('theirs'));
  });
  t.throws(() => openOutput(at('theirs/d/passwd')), /moved by somebody else/);
  t.equal(fs.readFileSync(at('etc/d/passwd'), 'utf8'), SECRET);
});

t.test(
  "R8: root's link in a directory of somebody else is not followed, for it may be another one by then",
  { skip: cannotRun },
  async (t) => {
    const { victim, at } = place(t);
    fs.writeFileSync(at('mine'), 'mine');
    fs.symlinkSync(at('mine'), at('theirs/d/link'));
    fs.symlinkSync(at('etc'), at('theirs/d/way'));
    fs.mkdirSync(at('theirs/d/roots'));
    fs.symlinkSync(at('etc'), at('theirs/d/roots/way'));
    for (const name of ['link', 'way/passwd', 'roots/way/passwd'])
      t.throws(() => openOutput(at(`theirs/d/${name}`)), /link (of|in a directory of) somebody else/, name);
    t.equal(fs.readFileSync(at('mine'), 'utf8'), 'mine');
    t.equal(fs.readFileSync(victim, 'utf8'), SECRET);
    fs.symlinkSync(at('mine'), at('link'));
    fs.closeSync(openOutput(at('link')));
    t.equal(fs.statSync(at('mine')).size, 0, 'one in a directory of root is');
  },
);

t.test('R8: a file that becomes a pipe, or another file, is written as what it was', { skip: cannotRun }, async (t) => {
  const { victim, at } = place(t);
  fs.mkdirSync(at('sticky'));
  fs.chmodSync(at('sticky'), 0o1777);
  ok('mkfifo', [at('sticky/pipe')]);
  fs.chownSync(at('sticky/pipe'), SOMEBODY, SOMEBODY);
  const reader = fs.openSync(at('sticky/pipe'), fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  t.teardown(() => fs.closeSync(reader));
  const file = at('sticky/file');
  for (const other of [at('sticky/pipe'), victim]) {
    fs.writeFileSync(file, 'before');
    onceSeen(t, file, 1, () => fs.renameSync(other, file));
    const fd = openOutput(file);
    t.ok(fs.fstatSync(fd).isFile());
    t.equal(fs.fstatSync(fd).nlink, 0, 'the one that was looked at');
    fs.closeSync(fd);
    fs.renameSync(file, other);
  }
  t.equal(fs.readFileSync(victim, 'utf8'), SECRET);
});
