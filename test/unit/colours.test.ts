// SPDX-License-Identifier: MIT
/** Colours: where they are, and where not. */
import * as fs from 'node:fs';

import t from 'tap';

import { usageError } from '../../src/errors';
import { coloured, errorText, hasColours } from '../../src/terminal/output';

t.test('a terminal has them unless somebody says no', async (t) => {
  const terminal = fs.openSync('/dev/ptmx', fs.constants.O_RDWR | fs.constants.O_NOCTTY);
  const file = fs.openSync('/dev/null', 'w');
  t.teardown(() => [terminal, file].forEach((fd) => fs.closeSync(fd)));
  t.equal(hasColours(terminal, { TERM: 'xterm' }), true);
  t.equal(hasColours(terminal, { TERM: 'xterm', NO_COLOR: '1' }), false, 'NO_COLOR');
  t.equal(hasColours(terminal, { TERM: 'xterm', NO_COLOR: '0' }), false, 'NO_COLOR, whatever it is');
  t.equal(hasColours(terminal, { TERM: 'xterm', NO_COLOR: '' }), true, 'NO_COLOR, empty');
  t.equal(hasColours(terminal, { TERM: 'dumb' }), false, 'a dumb one');
  t.equal(hasColours(terminal, {}), false, 'one that nobody knows');
  t.equal(hasColours(file, { TERM: 'xterm' }), false, 'a file');
  t.equal(hasColours(999, { TERM: 'xterm' }), false, 'what is not open');
  t.equal(coloured('bad', 'text', file), 'text');
});

t.test('an error is painted, and its text is not', async (t) => {
  const paint = (look: string, text: string): string => `<${look}>${text}</>`;
  t.equal(errorText(usageError('a', 'b', 'c'), false, paint), '<bad>vnet-bpf:</> a: b\n<bold>hint:</> c\n');
});

/** All that writes escape sequences of colours names the one place that decides over them. */
t.test('one rule decides', async (t) => {
  const src = `${__dirname.replace(/\/dist-test\//, '/').replace(/\/test\/unit$/, '')}/src`;
  const files = (fs.readdirSync(src, { recursive: true }) as string[]).filter(
    (name) => /\.ts$/.test(name) && !/node_modules|dist\//.test(name),
  );
  const painting = files.filter((name) => /x1b\[\$?\{?[\w'"[\]]*\}?m/.test(fs.readFileSync(`${src}/${name}`, 'utf8')));
  // The screen of `top` is a terminal by itself; it draws with attributes. Tests of libbpf-ts show that it does not.
  t.same(
    painting.filter((name) => name !== 'top/terminal.ts' && !name.startsWith('libbpf-ts/test/')),
    ['terminal/output.ts'],
  );
});
