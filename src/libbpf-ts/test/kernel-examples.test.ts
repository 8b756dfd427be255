// SPDX-License-Identifier: MIT
// The examples that watch or restrain processes, as a user runs them.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

import t from 'tap';

import { BpfObject } from '../src/index';
import { EXAMPLES, startExample as start } from './helpers/examples';
import { compile, skipUnlessRoot, TestCgroup, TestNetns, TestSecurityfs, TestTracefs } from './helpers/machine';
import { orUnsupported } from './helpers/kinds';

t.test('examples', { skip: skipUnlessRoot }, async (t) => {
  t.test('syscall-counter', async (t) => {
    using _tracefs = new TestTracefs();
    await using example = start('syscall-counter', [
      'dd',
      'if=/dev/zero',
      'of=/dev/null',
      'bs=1',
      'count=5000',
      'status=none',
    ]);
    t.equal(await example.end(), 0);
    const counts = [...example.output.matchAll(/^system call (\d+): (\d+)$/gm)].map(([, , count]) => Number(count));
    t.ok(counts.length > 5, example.output);
    // A read and a write for each byte, and a few for the loader and the shell.
    const many = counts.filter((count) => count >= 5000);
    t.equal(many.length, 2);
    t.ok(
      many.every((count) => count < 5100),
      `${many.join()}: of that process alone`,
    );
  });

  t.test('execs', async (t) => {
    using _tracefs = new TestTracefs();
    await using example = start('execs');
    await example.prints(/^PID USER COMMAND$/m);
    for (const user of [0, 65534]) {
      const pid = execFileSync(
        'setpriv',
        ['--reuid', String(user), '--clear-groups', 'sh', '-c', 'echo $$; exec true'],
        { encoding: 'utf8' },
      ).trim();
      await example.prints(new RegExp(`^${pid} ${user} true$`, 'm'));
    }
    t.equal(await example.end('SIGINT'), 0);
    t.notMatch(example.output, /Error/);
  });

  t.test('opensnoop', async (t) => {
    using _tracefs = new TestTracefs();
    await using example = start('opensnoop');
    await example.prints(/^PID /m);
    const { pid } = spawnSync('cat', ['/dev/null', '/nonexistent/file'], { stdio: 'ignore' });
    await example.prints(new RegExp(`^${pid} +cat +\\d+ +/dev/null$`, 'm'));
    await example.prints(new RegExp(`^${pid} +cat +ENOENT +/nonexistent/file$`, 'm'));
    t.equal(await example.end('SIGINT'), 0);
    t.notMatch(example.output, /Error/);
  });

  t.test('opensnoop of one process', async (t) => {
    using _tracefs = new TestTracefs();
    const shell = spawn('sh', ['-c', 'while read path; do : <"$path"; done'], { stdio: ['pipe', 'ignore', 'ignore'] });
    const ended = once(shell, 'exit');
    try {
      await using example = start('opensnoop', [String(shell.pid)]);
      await example.prints(/^PID /m);
      execFileSync('cat', ['/proc/version'], { stdio: 'ignore' });
      shell.stdin.write('/dev/null\n');
      await example.prints(new RegExp(`^${shell.pid} +sh +\\d+ +/dev/null$`, 'm'));
      t.equal(await example.end('SIGINT'), 0);
      t.notMatch(example.output, /version/);
    } finally {
      shell.stdin.end();
      await ended;
    }
  });

  t.test('tcpconnect', async (t) => {
    using _tracefs = new TestTracefs();
    using netns = new TestNetns('connect');
    netns.ip('link', 'set', 'lo', 'up');
    await using example = start('tcpconnect');
    await example.prints(/^PID /m);
    const connect = (address: string): void => {
      const script = `exec 2>/dev/null; echo >/dev/tcp/${address}/9`;
      netns.inside(() => spawnSync('bash', ['-c', script], { stdio: 'ignore' }));
    };
    connect('127.0.0.1');
    await example.prints(/^\d+ +bash +127\.0\.0\.1 -> 127\.0\.0\.1:9$/m);
    connect('::1');
    await example.prints(/^\d+ +bash +\[::1\] -> \[::1\]:9$/m);
    t.equal(await example.end('SIGINT'), 0);
    t.notMatch(example.output, /Error/);
  });

  t.test('cgroup-firewall', async (t) => {
    using netns = new TestNetns('firewall');
    netns.ip('link', 'set', 'lo', 'up');
    using cgroup = new TestCgroup();
    await using example = start('cgroup-firewall', [cgroup.path, '127.1.0.0/16', '127.2.0.1']);
    await example.prints(/: no connections to 127\.1\.0\.0\/16, 127\.2\.0\.1$/m);
    /** What a connection to a port without a listener ends with. */
    const connect = (address: string): string => {
      const script = `echo $$ >'${cgroup.path}/cgroup.procs' && exec 3<>/dev/tcp/${address}/9`;
      const { stderr } = netns.inside(() => spawnSync('bash', ['-c', script], { encoding: 'utf8' }));
      return /(Operation not permitted|Connection refused)/.exec(stderr)?.[1] ?? stderr;
    };
    t.equal(connect('127.1.2.3'), 'Operation not permitted');
    await example.prints(/^\d+ bash: 127\.1\.2\.3:9 refused$/m);
    t.equal(connect('127.2.0.1'), 'Operation not permitted');
    await example.prints(/^\d+ bash: 127\.2\.0\.1:9 refused$/m);
    t.equal(connect('127.2.0.2'), 'Connection refused', 'another address is let through');
    t.equal(await example.end('SIGINT'), 0);
    t.equal(connect('127.1.2.3'), 'Connection refused', 'nothing is refused any more');
    t.equal(example.output.match(/:9 refused$/gm)?.length, 2);
  });

  t.test('lsm-protect', async (t) => {
    // Debian's kernels have it, and run this test in the guest.
    using object = BpfObject.open(compile('lsm-protect', EXAMPLES));
    object.setMap('refusals', { valueSize: 0 });
    const why = orUnsupported(() => object.load());
    if (typeof why === 'string') return void t.pass('loads', { skip: why });
    using security = new TestSecurityfs();
    if (!security.modules.includes('bpf'))
      return void t.pass('is asked', { skip: 'bpf is not among the security modules of this machine' });
    const protege = spawn('sleep', ['1000']);
    const ended = once(protege, 'exit');
    try {
      await using example = start('lsm-protect', [String(protege.pid)]);
      await example.prints(/ is protected$/m);
      t.throws(() => process.kill(protege.pid!, 'SIGKILL'), { code: 'EPERM' });
      await example.prints(new RegExp(`^${process.pid} .*of user 0: signal 9 refused$`, 'm'));
      t.ok(process.kill(protege.pid!, 0), 'signal 0 only asks');
      t.equal(protege.signalCode, null);
      t.equal(await example.end('SIGINT'), 0);
    } finally {
      protege.kill('SIGKILL');
      t.equal((await ended)[1], 'SIGKILL', 'not protected any more');
    }
  });
});
