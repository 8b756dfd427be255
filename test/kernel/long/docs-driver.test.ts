// SPDX-License-Identifier: MIT
/** docs/driver.md: its experiments, as written, on a machine of its own; each shows what the chapter says. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, MAIN, ROOT, SLOW } from '../../helpers/cli';
import { blocksOf, READERS_HOME, scriptOf } from '../../helpers/document';
import { PrivateMachine } from '../../helpers/private-machine';
import { withoutTools } from '../../helpers/traffic';

t.setTimeout(200_000 * SLOW);

const FILE = path.join(ROOT, 'docs', 'driver.md');

/** The number that stands before a word on a line of `stats`; NaN if there is none. */
const numberBefore = (text: string, word: string): number =>
  Number(new RegExp(`([\\d.]+) +${word}`).exec(text)?.[1] ?? NaN);

t.test('the experiments show it', { skip: cannotRun || withoutTools('iperf3', 'ethtool', 'ping') }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const blocks = blocksOf(FILE);
  t.ok(blocks.every(({ language }) => language === 'sh' || language === ''));
  const commands = blocks.filter(({ language }) => language === 'sh');
  const { status, stdout, stderr } = machine.run('bash', ['-c', READERS_HOME + scriptOf(commands)], {
    NODE: process.execPath,
    MAIN,
  });
  t.equal(status, 0, stderr + stdout.slice(-500));
  const [
    ,
    interfaces = '',
    transmit = '',
    queue = '',
    receive = '',
    offloads = '',
    count = '',
    polling = '',
    several = '',
    crash = '',
  ] = stdout.split(/^@@ line \d+\n/m).slice(1);

  t.match(interfaces, /driver: veth/);
  t.match(interfaces, /vnet0@if\d+/);
  t.match(transmit, /4 packets transmitted, 4 received/);
  t.ok(numberBefore(transmit, 'packets .* bytes') >= 8);

  const [held = '', refused = ''] = queue.split('vnet1 in course').slice(1);
  t.ok(numberBefore(held, 'stops') > 0, 'the queue stops');
  t.equal(numberBefore(held, 'stops'), numberBefore(held, 'wakes'), 'and wakes');
  t.match(held, /refused +none/);
  t.match(queue, /queue stopped on vnet1/);
  t.match(queue, /queue woken on vnet1/);
  t.match(refused, /refused +full \d/);

  const [each = '', budget = ''] = receive.split('\n').filter((line) => line.startsWith('  poll'));
  const [received = ''] = receive.split('\n').filter((line) => line.startsWith('  rx'));
  t.ok(numberBefore(each, 'polls') >= numberBefore(received, 'packets'), `a poll for each packet: ${received}${each}`);
  t.ok(numberBefore(each, 'used the budget up') > numberBefore(budget, 'used the budget up'));

  t.match(offloads, /tcp-segmentation-offload: on/);
  const [stream = ''] = offloads.split('vnet1 in course').slice(1);
  t.ok(numberBefore(stream, 'packets') < 5000, 'superpackets');
  t.ok(Number(/largest frame (\d+)/.exec(stream)?.[1]) > 60_000);

  t.match(count, /accounting +\d+ in +\d+ out +balanced/);

  const [asleep = '', awake = ''] = polling.split('\n').filter((line) => line.startsWith('  poll'));
  t.ok(numberBefore(asleep, 'sleeps') >= 100 && numberBefore(awake, 'sleeps') < 50, `${asleep}${awake}`);

  t.match(several, /2 queues .* of 16 MiB/);

  t.match(crash, /^vnet0 +course +crashed /m);
  t.match(crash, /1 packets transmitted, 1 received/);
  t.match(crash, /adopted: vnet0/);
  t.same(
    machine.residue().filter((line) => !['/run/netns', '/run/home', '/run/course.pid'].includes(line)),
    [],
    'nothing is left',
  );
});

t.test('the files that it names are there', async (t) => {
  const text = fs.readFileSync(FILE, 'utf8');
  const named = [...new Set([...text.matchAll(/`((?:src|bpf)\/[\w/.-]*)`/g)].map(([, name = '']) => name))];
  t.ok(named.length > 10);
  t.same(
    named.filter((name) => !fs.existsSync(path.join(ROOT, name))),
    [],
  );
  for (const [, name = '', file = ''] of text.matchAll(/`(\w+)(?:\(\))?` in `((?:src|bpf)\/[\w/.-]*)`/g))
    t.ok(fs.readFileSync(path.join(ROOT, file), 'utf8').includes(name), `${name} is in ${file}`);
});
