// SPDX-License-Identifier: MIT
/** What the live screen sends to a terminal, and what it makes of keys. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as readline from 'node:readline';
import { PassThrough } from 'node:stream';

import t, { type Test } from 'tap';

import { movesCursor, showsBlocks, showsColours } from '../../src/native/terminal';
import { part } from '../../src/top/drawing';
import { drawnRow, keyName, TerminalOutput } from '../../src/top/terminal';
import { run } from '../helpers/netns';

const COLOURED = { colours: true, ascii: false };

t.test('a row: where it is, its styles, and nothing that others have put into it', async (t) => {
  t.equal(drawnRow(0, [], COLOURED), '\x1b[1;1H\x1b[2K');
  t.equal(
    drawnRow(4, [part('a '), part('b', 'good'), part('c', 'chosen')], COLOURED),
    '\x1b[5;1H\x1b[2Ka \x1b[32mb\x1b[0m\x1b[1;7mc\x1b[0m',
  );
  t.equal(
    drawnRow(1, [part('x\x1b[2J\x9b1m\n\x07\u202ey', 'bad')], COLOURED),
    '\x1b[2;1H\x1b[2K\x1b[1;31mx\\x1b[2J\\x9b1m\\n\\x07\\u202ey\x1b[0m',
  );
});

t.test('a row without colours, and in ASCII', async (t) => {
  const styles = ['plain', 'title', 'chosen', 'good', 'warning', 'bad', 'faint', 'tx', 'rx'] as const;
  const drawn = drawnRow(
    0,
    styles.map((style) => part(style, style)),
    { colours: false, ascii: false },
  );
  // eslint-disable-next-line no-control-regex
  t.notMatch(drawn, /\x1b\[(\d+;)*(3|4|9|10)\d(;\d+)*m/, 'no colour');
  t.match(drawn, '\x1b[1;7mchosen\x1b[0m', 'bold and reverse video are none');
  t.equal(drawnRow(0, [part('é网x')], { colours: false, ascii: true }), '\x1b[1;1H\x1b[2K???x', 'as wide as before');
});

/** A terminal that takes as much as a pipe does, and what is read of it. */
function pipe(t: Test): { output: TerminalOutput; lost: string[]; read(): string } {
  const name = path.join(t.testdir({}), 'terminal');
  run('mkfifo', [name]);
  const fd = fs.openSync(name, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  t.teardown(() => fs.closeSync(fd));
  const lost: string[] = [];
  const read = (): string => {
    const buffer = Buffer.alloc(1 << 20);
    try {
      return buffer.toString('utf8', 0, fs.readSync(fd, buffer));
    } catch {
      return '';
    }
  };
  return { output: new TerminalOutput(fd, (code) => lost.push(code)), lost, read };
}

t.test('a terminal that nobody reads is not waited for, and gets the rest when it is read', async (t) => {
  const { output, lost, read } = pipe(t);
  const picture = `${'x'.repeat(100_000)}end`;
  const before = performance.now();
  output.send(picture);
  t.ok(output.waits, 'more than it takes');
  let text = read();
  for (const until = Date.now() + 5000; text.length < picture.length && Date.now() < until; text += read())
    await new Promise((resolve) => setTimeout(resolve, 10));
  t.equal(text, picture, 'whole, and in order');
  t.notOk(output.waits);
  output.send(picture);
  const end = performance.now();
  output.end('bye');
  t.ok(performance.now() - end < 2000 && end - before < 6000, 'nor at the end');
  t.same(lost, []);
});

t.test('a terminal that has gone is told once', async (t) => {
  const lost: string[] = [];
  const fd = fs.openSync('/dev/full', 'w');
  t.teardown(() => fs.closeSync(fd));
  const output = new TerminalOutput(fd, (code) => lost.push(code));
  output.send('x');
  t.same(lost, ['ENOSPC']);
  output.end('y');
  t.same(lost, ['ENOSPC'], 'and its end throws nothing');
});

t.test('what the environment says of a terminal', async (t) => {
  const utf8 = { TERM: 'xterm-256color', LANG: 'de_DE.UTF-8' };
  t.ok(showsColours(utf8) && showsBlocks(utf8) && movesCursor(utf8));
  t.notOk(showsColours({ ...utf8, NO_COLOR: '1' }));
  t.ok(showsColours({ ...utf8, NO_COLOR: '' }), 'empty is as if it were not there');
  t.ok(showsBlocks({ ...utf8, NO_COLOR: '1' }), 'which says nothing about characters');
  t.same(
    ['xterm-mono', 'vt220', 'dumb', ''].map((TERM) => showsColours({ TERM })),
    [false, false, false, false],
  );
  t.same(
    ['dumb', '', 'unknown'].map((TERM) => movesCursor({ TERM })),
    [false, false, false],
  );
  t.notOk(showsBlocks({ ...utf8, LANG: 'C' }));
  t.notOk(showsBlocks({ TERM: 'xterm' }), 'no locale is that of C');
  t.notOk(showsBlocks({ ...utf8, LC_ALL: 'C' }), 'LC_ALL comes first');
  t.ok(showsBlocks({ ...utf8, LANG: 'C', LC_CTYPE: 'C.utf8' }), 'then LC_CTYPE');
  t.notOk(showsBlocks({ ...utf8, TERM: 'linux' }), 'the console has no such characters');
  t.ok(showsColours({ TERM: 'linux' }));
});

t.test('keys, as terminals send them', async (t) => {
  const input = new PassThrough();
  const names: string[] = [];
  readline.emitKeypressEvents(input);
  input.on('keypress', (text: string | undefined, key: readline.Key) => names.push(keyName(text, key)));
  const sent = [
    'q',
    'Q',
    ' ',
    '\x03',
    '\x1a',
    '\x04',
    '\r',
    '\n',
    '\x7f',
    '\b',
    '\x1b[A',
    '\x1b[B',
    '\x1b[C',
    '\x1b[D',
    '\x1bOA',
    '\x1bOB',
    '\x1b[Z',
    'ü',
  ];
  for (const keys of sent) input.write(keys);
  await new Promise((resolve) => setImmediate(resolve));
  t.same(
    names.map((name) => name || 'nothing'),
    [
      'q',
      'Q',
      ' ',
      'CTRL_C',
      'CTRL_Z',
      'nothing',
      'ENTER',
      'ENTER',
      'BACKSPACE',
      'BACKSPACE',
      'UP',
      'DOWN',
      'RIGHT',
      'LEFT',
      'UP',
      'DOWN',
      'nothing',
      'ü',
    ],
  );
  names.length = 0;
  input.write('\x1b');
  await new Promise((resolve) => setTimeout(resolve, 700));
  t.same(names, ['ESCAPE'], 'alone, after a while');
});
