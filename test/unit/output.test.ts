// SPDX-License-Identifier: MIT
/** What commands print. */
import t from 'tap';

import { HINTS, usageError, VnetError } from '../../src/errors';
import { bytes, errorText, exitCodeOf, table } from '../../src/terminal/output';

t.test('sizes', async (t) => {
  t.same([0, 1, 1023, 1024, 1536, 8388608, 2 ** 30, 5 * 2 ** 40, 2 ** 50].map(bytes), [
    '0 B',
    '1 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '8 MiB',
    '1 GiB',
    '5 TiB',
    '1024 TiB',
  ]);
});

t.test('tables', async (t) => {
  t.same(
    table([
      ['A', 'LONG'],
      ['wider', 'x'],
      ['', 'yy', 'z'],
    ]),
    ['A      LONG', 'wider  x', '       yy    z'],
  );
  t.same(table([]), []);
  t.same(
    table([
      ['a\nb', 'x'],
      ['\x1b[2J', 'y'],
    ]),
    ['a\\nb     x', '\\x1b[2J  y'],
    'a cell is a cell, whatever it says',
  );
});

/** What reportError prints and returns. */
const reported = (error: unknown, debug = false): { code: number; text: string } => ({
  code: exitCodeOf(error),
  text: errorText(error, debug),
});

t.test('errors: one line, and a hint where there is one', async (t) => {
  t.same(reported(new VnetError('STATE', 'interface vnet0', 'is odd', { hint: 'look at it' })), {
    code: 1,
    text: 'vnet-bpf: interface vnet0: is odd\nhint: look at it\n',
  });
  t.same(reported(usageError('--mtu "x"', 'is not a number')), {
    code: 2,
    text: 'vnet-bpf: --mtu "x": is not a number\n',
  });
  t.equal(
    reported(new VnetError('STATE', 'a', 'first\n  second\nthird', { hint: 'do\nthis' })).text,
    'vnet-bpf: a: first second third\nhint: do this\n',
    'however many lines there were',
  );
});

t.test('what nobody foresaw says so, and has no stack without --debug', async (t) => {
  t.same(reported(new TypeError('x is not a function')), {
    code: 1,
    text: `vnet-bpf: internal error: x is not a function\nhint: ${HINTS.bug}\n`,
  });
  t.match(reported('just a string'), { code: 1, text: /^vnet-bpf: internal error: just a string\nhint: .*\n$/ });
  t.match(
    reported(Object.assign(new Error('setns: EPERM'), { code: 'EPERM' })).text,
    /^vnet-bpf: setns: EPERM\nhint: vnet-bpf doctor looks for the cause\n$/,
    'an error of the system has a hint, too',
  );
});

t.test('--debug shows stacks, causes and the verifier log', async (t) => {
  const cause = Object.assign(new Error('rejected'), { log: 'R0 !read_ok' });
  const { text } = reported(new VnetError('VERIFIER', 'programs', 'refused', { cause }), true);
  t.match(text, /^vnet-bpf: programs: refused\n/);
  t.match(text, /at .*output\.test/);
  t.match(text, /caused by Error: rejected/);
  t.match(text, /R0 !read_ok/);
});
