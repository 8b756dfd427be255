// SPDX-License-Identifier: MIT
// The examples as a user runs them, with the built package.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { compile, Example, skipUnlessRoot, TestNetns, TestTracefs } from './helpers/machine';

const examples = join(__dirname, '..', 'examples');

function start(name: string, args: readonly string[] = [], wrapper: readonly string[] = []): Example {
  return new Example(dirname(compile(name, examples)), join(examples, `${name}.ts`), args, wrapper);
}

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

  t.test('xdp-drop', async (t) => {
    using netns = new TestNetns('drop');
    const { address } = (JSON.parse(netns.ip('-j', 'link', 'show', 'd0')) as { address: string }[])[0]!;
    netns.ip('addr', 'add', '192.0.2.1/24', 'dev', 'p0');
    netns.ip('neigh', 'add', '192.0.2.9', 'lladdr', address, 'dev', 'p0');
    const send = (port: number, count: number): void => {
      const script = `for i in $(seq ${count}); do echo x >/dev/udp/192.0.2.9/${port}; done`;
      netns.inside(() => execFileSync('bash', ['-c', script]));
    };
    /** Packets that the network stack got to see. */
    const received = (): number => {
      const snmp = netns.inside(() => readFileSync('/proc/thread-self/net/snmp', 'latin1'));
      const [names, values] = snmp
        .split('\n')
        .filter((line) => line.startsWith('Ip:'))
        .map((line) => line.split(' '));
      return Number(values?.[names?.indexOf('InReceives') ?? -1]);
    };
    await using example = start('xdp-drop', ['d0', '9999'], ['ip', 'netns', 'exec', netns.name]);
    await example.prints(/^link \d+ drops UDP to port 9999 on d0$/m);
    const before = received();
    send(9999, 5);
    t.equal(received(), before, 'dropped before the stack');
    send(9998, 3);
    t.equal(received(), before + 3, 'another port is let through');
    t.equal(await example.end('SIGINT'), 0);
    t.match(example.output, /^dropped 5 packets$/m);
    send(9999, 2);
    t.equal(received(), before + 5, 'nothing is dropped any more');
  });

  t.test('execs', async (t) => {
    using _tracefs = new TestTracefs();
    await using example = start('execs');
    await example.prints(/^link \d+ is attached$/m);
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
});
