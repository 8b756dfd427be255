// SPDX-License-Identifier: MIT
/**
 * Names that would control a terminal, or forge lines of a list or a log: every command shows them escaped: S1 of
 * docs/SECURITY.md.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, cli, SLOW } from '../helpers/cli';
import { hookDirectory } from '../helpers/hook-file';
import { run } from '../helpers/netns';

t.setTimeout(120_000 * SLOW);

const NETNS = `vt${process.pid}\x1b]0;t\x07\nvnet9  -  running\x9b2J\u202e\x7f`;
const IFACE = 'v\x1b[7m\x9b';
const ESCAPED_IFACE = 'v\\x1b[7m\\x9b';

/** Characters that control a terminal, except newlines. */
// eslint-disable-next-line no-control-regex
const OBEYED = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/;

t.test(
  'S1: list, stats, log, doctor, errors: nothing that a terminal obeys, no line too many',
  { skip: cannotRun },
  async (t) => {
    if (run('ip', ['netns', 'add', NETNS]).status !== 0) throw new Error('ip takes no such name');
    t.teardown(() => run('ip', ['netns', 'del', NETNS]));
    const where = [IFACE, '--netns', NETNS];
    const hook = path.join(hookDirectory(t), 'h\n\x1b[31m.js');
    fs.writeFileSync(hook, "module.exports = { frame() { throw new Error('a\\nb\\u001b[2Jc'); } };");
    t.teardown(() => cli(['detach', ...where]));
    const harmless = (args: string[], lines: number | null, status = 0): string => {
      const said = cli(args);
      const text = said.stdout + said.stderr;
      t.equal(said.status, status, JSON.stringify(args));
      t.notMatch(text, OBEYED, JSON.stringify(text));
      if (lines !== null) t.equal(text.trimEnd().split('\n').length, lines, `${lines} lines: ${JSON.stringify(text)}`);
      return text;
    };
    harmless(['attach', ...where, '--hook', hook, '--addr', '10.77.0.1/24', '--dry-run'], null);
    t.match(harmless(['attach', ...where, '--hook', hook, '--addr', '10.77.0.1/24', '--daemon'], 1), ESCAPED_IFACE);
    run('nsenter', [`--net=/run/netns/${NETNS}`, '--', 'ping', '-c', '1', '-W', '2', '10.77.0.1']);
    const row = harmless(['list'], null)
      .split('\n')
      .filter((line) => line.includes(ESCAPED_IFACE));
    t.equal(row.length, 1, 'one row');
    t.match(row[0], /h\\n\\x1b\[31m\.js$/, 'the hook is in it');
    t.notMatch(harmless(['list'], null), /^vnet9/m, 'and no forged one');
    t.match(harmless(['stats', ...where], null).split('\n')[0], `${ESCAPED_IFACE} in vt`);
    harmless(['stats', ...where, '--prometheus'], null);
    const lines = harmless(['log', ...where], null)
      .trimEnd()
      .split('\n');
    t.same(
      lines.filter((line) => !/^\d{4}-\d\d-\d\dT[\d:.]+Z VNET: /.test(line)),
      [],
      'each line of the log begins as one',
    );
    t.match(lines.join('\n'), /hook .*h\\n\\x1b\[31m\.js on/);
    for (const args of [
      ['list', '--json'],
      ['stats', ...where, '--json'],
    ]) {
      const text = harmless(args, null);
      t.match(JSON.stringify(JSON.parse(text)), JSON.stringify(NETNS).slice(1, 20), 'JSON says what the name is');
    }
    harmless(['doctor'], null, cli(['doctor']).status);
    harmless(['attach', ...where, '--daemon'], 2, 1);
    harmless(['detach', 'vnet8', '--netns', NETNS], null, 1);
    harmless(['hook', ...where, `${hook}.none`], null, 1);
    harmless(['attach', 'vnet8', '--netns', `${NETNS}none`], null, 1);
    harmless(['no\x1b[31m\u202esuch'], null, 2);
    harmless(['replay', '/none\n\x1b[31m', '--into', IFACE, '--netns', NETNS], null, 1);
    harmless(['record', ...where, '-w', '/no\n\x1b[31m/x'], null, 1);
    t.match(harmless(['detach', ...where], 1), `${ESCAPED_IFACE} detached`);
  },
);
