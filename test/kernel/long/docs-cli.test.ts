// SPDX-License-Identifier: MIT
/** docs/cli.md: its examples, as written, on a machine of its own. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { PROFILES } from '../../../src/impair/words';
import { cannotRun, MAIN, ROOT, SLOW } from '../../helpers/cli';
import { blocksOf, READERS_HOME, scriptOf } from '../../helpers/document';
import { PrivateMachine } from '../../helpers/private-machine';
import { withoutQdisc } from '../../helpers/qdisc';
import { withoutTools } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

t.test('the named wires are those of the table', async (t) => {
  const text = fs.readFileSync(path.join(ROOT, 'docs', 'cli.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `([\w-]+)` \| `(delay [^`]*)` \| (.*) \| (\d+) ms \| (\d+) ms \|$/gm)].map(
    ([, name, words, what, idle, loaded]) => [
      name,
      { words, what, ping: { idle: Number(idle), loaded: Number(loaded) } },
    ],
  );
  t.same(Object.fromEntries(rows), PROFILES);
});

t.test('the examples do what they say', { skip: cannotRun || withoutTools('bash', 'ip') }, async (t) => {
  const blocks = blocksOf(path.join(ROOT, 'docs', 'cli.md')).filter(({ language }) => language === 'sh');
  const impairs = ({ text }: { text: string }): boolean => text.includes('run --impair');
  t.equal(blocks.filter(impairs).length, 1);
  const possible = withoutQdisc('netem') ? blocks.filter((block) => !impairs(block)) : blocks;
  t.ok(blocks.length > 0, 'there are some');
  const machine = await PrivateMachine.start(t);
  const { status, stdout, stderr } = machine.run(
    'bash',
    ['-c', `${READERS_HOME}${scriptOf(possible)}\ncat stats.json`],
    {
      NODE: process.execPath,
      MAIN,
    },
  );
  const last = stdout
    .split('\n')
    .filter((line) => line.startsWith('@@'))
    .at(-1);
  t.equal(status, 0, `${last}: ${stderr}`);
  t.match(stdout, '3 received, 0% packet loss');
  t.match(stderr, /accounting +\d+ in +\d+ out +balanced/);
  t.match(stdout, /root netem limit \d+ delay 20ms 5ms loss 1%/);
  t.match(stdout, '"interface": "vnet0"', 'the counters are in the file');
  t.same(
    machine.residue().filter((line) => !['/run/netns', '/run/home'].includes(line)),
    [],
    'nothing is left',
  );
});
