// SPDX-License-Identifier: MIT
/** Where a recording goes: who may read it, and which files already exist. */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { openSink } from '../../src/capture/sink';

const modeOf = (file: string): number => fs.statSync(file).mode & 0o777;

t.test("a new recording is its owner's alone, whatever the umask", async (t) => {
  const file = path.join(t.testdir(), 'run.pcapng');
  const before = process.umask(0);
  t.teardown(() => process.umask(before));
  const sink = openSink(file);
  await sink.write(Buffer.from('frames'));
  await sink.close();
  t.equal(modeOf(file), 0o600);
  t.equal(fs.readFileSync(file, 'utf8'), 'frames');
});

t.test('a file that is there is begun anew, and keeps its mode', async (t) => {
  const file = path.join(t.testdir({ 'run.pcapng': 'a longer recording' }), 'run.pcapng');
  fs.chmodSync(file, 0o640);
  const sink = openSink(file);
  await sink.write(Buffer.from('frames'));
  await sink.close();
  t.same({ mode: modeOf(file), text: fs.readFileSync(file, 'utf8') }, { mode: 0o640, text: 'frames' });
});

t.test(
  'a link of somebody else is not followed, whether it leads somewhere or not',
  { skip: process.geteuid?.() !== 0 && 'only root can make one' },
  async (t) => {
    const directory = t.testdir({
      precious: 'precious',
      link: t.fixture('symlink', 'precious'),
      dangling: t.fixture('symlink', 'new'),
    });
    for (const name of ['link', 'dangling']) {
      fs.lchownSync(path.join(directory, name), 12345, 12345);
      t.throws(
        () => openSink(path.join(directory, name)),
        { code: 'SYSCALL', message: /is a link of somebody else/, hint: /name a file of your own/ },
        name,
      );
    }
    t.equal(fs.readFileSync(path.join(directory, 'precious'), 'utf8'), 'precious');
    t.notOk(fs.existsSync(path.join(directory, 'new')));
  },
);

t.test(
  'nor is a file of another user written, who could read it',
  { skip: process.geteuid?.() !== 0 && 'only root can make one' },
  async (t) => {
    const file = path.join(t.testdir({ 'run.pcapng': 'mine' }), 'run.pcapng');
    fs.chownSync(file, 12345, 12345);
    t.throws(() => openSink(file), { code: 'SYSCALL', message: /belongs to somebody else/ });
    t.equal(fs.readFileSync(file, 'utf8'), 'mine', 'it is as it was');
    process.env['SUDO_UID'] = '12345';
    t.teardown(() => delete process.env['SUDO_UID']);
    await openSink(file).close();
    t.equal(fs.readFileSync(file, 'utf8'), '', 'the user who called sudo has asked for it');
  },
);

t.test('pipes, devices and standard output', async (t) => {
  const fifo = path.join(t.testdir(), 'fifo');
  spawnSync('mkfifo', [fifo]);
  const reader = spawn('cat', [fifo], { stdio: ['ignore', 'pipe', 'inherit'] });
  let read = '';
  reader.stdout.setEncoding('utf8').on('data', (text: string) => (read += text));
  const sink = openSink(fifo);
  t.equal(sink.live, true);
  await sink.write(Buffer.from('frames'));
  await sink.close();
  await new Promise((resolve) => reader.once('close', resolve));
  t.equal(read, 'frames');
  await openSink('/dev/null').close();
  const program = `const { openSink } = require(${JSON.stringify(require.resolve('../../src/capture/sink'))}); const sink = openSink(process.argv[1]); void sink.write(Buffer.from('frames')).then(() => sink.close());`;
  const loader = __filename.endsWith('.ts') ? ['-r', 'ts-node/register/transpile-only'] : [];
  for (const name of ['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']) {
    // Through a pipe of a shell: Node's own are sockets, which have no name.
    t.match(
      spawnSync('sh', ['-c', '"$@" | cat', 'sh', process.execPath, ...loader, '-e', program, '--', name], {
        encoding: 'utf8',
      }),
      { status: 0, stdout: 'frames', stderr: '' },
      name,
    );
  }
});

t.test('what cannot be written says why', async (t) => {
  const directory = t.testdir();
  t.throws(() => openSink(path.join(directory, 'no', 'run.pcapng')), {
    code: 'SYSCALL',
    message: /ENOENT/,
    hint: /is the directory there/,
  });
  t.throws(() => openSink(directory), { code: 'SYSCALL', message: /is a directory/ });
});
