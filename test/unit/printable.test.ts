// SPDX-License-Identifier: MIT
/** Text of others, as terminals and logs get it. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { EventLog } from '../../src/controller/event-log';
import { VnetError } from '../../src/errors';
import { printable, printableJson, printableLines } from '../../src/printable';
import { errorText } from '../../src/terminal/output';

/** What a terminal may obey, or what makes text look like another one. */
const DANGEROUS = [
  ...Array.from({ length: 0x20 }, (_, code) => code),
  ...Array.from({ length: 0x21 }, (_, i) => 0x7f + i),
  0xad,
  0x61c,
  0x200b,
  0x200e,
  0x200f,
  0x2028,
  0x2029,
  0x202a,
  0x202b,
  0x202c,
  0x202d,
  0x202e,
  0x2060,
  0x2066,
  0x2067,
  0x2068,
  0x2069,
  0xfeff,
  0xe0041,
  0xd800,
  0xdfff,
].map((code) => String.fromCodePoint(code));

t.test('what is dangerous is shown, what is text stays', async (t) => {
  for (const char of DANGEROUS) {
    const shown = printable(`a${char}b`);
    t.match(shown, /^a\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|u\{[0-9a-f]+\})b$/, shown);
    t.equal(printable(shown), shown, 'once is enough');
  }
  for (const text of ['', 'vnet0 in lab', 'C:\\n', 'Zürich, Ελλάδα, 日本, 🐧', 'a&b;c"d\'e'])
    t.equal(printable(text), text);
  t.equal(printableLines('a\nb\x1b[0m\r\n'), 'a\nb\\x1b[0m\\r\n', 'of several lines, newlines stay');
});

t.test('JSON says the same, and is harmless', async (t) => {
  const document = { [`key${DANGEROUS.join('')}`]: DANGEROUS, plain: 'ü', list: [] };
  const text = printableJson(document);
  t.same(JSON.parse(text), document);
  t.equal(printableLines(text), text);
  t.match(text, '"plain": "ü"');
  t.equal(printableJson({ a: [1] }), '{\n  "a": [\n    1\n  ]\n}');
});

t.test('an error is a line and a hint, whatever it is about', async (t) => {
  const hostile = new VnetError('STATE', 'interface a\x1b]0;title\x07', 'is odd\nvnet-bpf: forged\x9b1m', {
    hint: 'ip netns del \u202eabc\nhint: forged',
  });
  t.equal(
    errorText(hostile, false),
    'vnet-bpf: interface a\\x1b]0;title\\x07: is odd vnet-bpf: forged\\x9b1m\nhint: ip netns del \\u202eabc hint: forged\n',
  );
  const debug = errorText(
    Object.assign(new Error('x', { cause: new Error('\x1bc') }), { log: 'verifier\x1b[2J' }),
    true,
  );
  t.equal(printableLines(debug), debug, 'neither has the stack');
  t.equal(
    errorText(Object.create(null), false),
    'vnet-bpf: internal error: object\nhint: this is a bug in vnet-bpf: --debug shows where\n',
  );
});

t.test('a line of the log is one line', async (t) => {
  const file = path.join(t.testdir(), 'log');
  using log = new EventLog(file);
  log.write('hook /a\n2026-01-01T00:00:00.000Z VNET: forged\x1b[2J.ts\u2028 on vnet0');
  t.match(
    fs.readFileSync(file, 'utf8'),
    /^[-\dT:.]+Z VNET: hook \/a\\n2026-01-01T00:00:00\.000Z VNET: forged\\x1b\[2J\.ts\\u2028 on vnet0\n$/,
  );
});

t.test('print escapes, and leaves our own newlines', async (t) => {
  const output = require.resolve('../../src/terminal/output');
  const loader = output.endsWith('.ts') ? ['-r', 'ts-node/register/transpile-only'] : [];
  const says = (body: string): string =>
    spawnSync(process.execPath, [...loader, '-e', `const o = require(${JSON.stringify(output)}); ${body}`], {
      encoding: 'utf8',
    }).stdout;
  t.equal(
    says(String.raw`o.print('a\nb', '\x1b[1mc'); o.printJson({ a: '\x7f\x1b' }); o.printMade('\x1b[1mours\x1b[0m')`),
    'a\\nb\n\\x1b[1mc\n{\n  "a": "\\u007f\\u001b"\n}\n\x1b[1mours\x1b[0m\n',
  );
});
