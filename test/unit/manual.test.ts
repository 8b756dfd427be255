// SPDX-License-Identifier: MIT
/** The manual is whole and in order, and docs/cli.md knows every command and option, with its default. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { COMMANDS } from '../../src/cli/commands';
import { defaultOf, type Declared } from '../../src/cli/declarations';
import { plain, tableBelow } from '../../src/setup/man-page';
import { ROOT } from '../helpers/cli';
import { run } from '../helpers/netns';

const PAGE = path.join(ROOT, 'dist', 'man', 'vnet-bpf.1');
const document = fs.readFileSync(path.join(ROOT, 'docs', 'cli.md'), 'utf8');
const commands = COMMANDS.all();

t.test('declarations are read', (t) => {
  t.ok(commands.length >= 10, `${commands.length} commands`);
  const attach = commands.find(({ name }) => name === 'attach');
  t.ok((attach?.options.size ?? 0) >= 18, 'attach has its options');
  t.equal(defaultOf(attach?.options.get('ring-size') as Declared), '8M');
  t.end();
});

t.test('the manual', (t) => {
  const page = fs.readFileSync(PAGE, 'utf8');
  for (const { name, options } of commands) {
    t.ok(page.includes(`\\fB${plain(name)}\\fR`), name);
    t.same([...options.keys()].filter((option) => !page.includes(plain(`--${option}`))), [], `${name}: options`);
  }
  t.match(page, /NOTIFY_SOCKET/, 'the environment');
  const { status } = run('sh', ['-c', 'command -v groff']);
  if (status !== 0) t.comment('there is no groff: its syntax is not checked');
  else t.same(run('groff', ['-man', '-ww', '-z', PAGE]), { status: 0, stdout: '', stderr: '' }, 'groff has nothing to say against it');
  t.end();
});

/** A command's part of the document. */
const partOf = (name: string): string => document.split('\n## ').find((part) => part.startsWith(`${name}\n`)) ?? '';

t.test('docs/cli.md', (t) => {
  const synopsis = document.slice(0, document.indexOf('\n## ')).split('\n');
  for (const command of commands) {
    const { name, positionals, options } = command;
    const usage = synopsis.filter((line) => line.startsWith(`vnet-bpf ${name}`)).join('\n');
    t.ok(usage, `${name} is in the synopsis`);
    t.ok(document.includes(`\n## ${name}\n`), `${name} has a part of its own`);
    t.same([...positionals.keys()].filter((operand) => !usage.toLowerCase().includes(operand) && !/bash\|zsh\|fish/.test(usage)), [], `${name}: operands`);
    // attach has a table, which is looked at below; that of run says `--hook FILE`, `--on-hook-error` in one row.
    const said = name === 'run' ? partOf('run') : usage;
    if (name !== 'attach') t.same([...options.keys()].filter((option) => !said.includes(`--${option}`)), [], `${name}: options`);
  }
  t.end();
});

t.test('the table of attach', (t) => {
  const rows = new Map(tableBelow(document, '## attach').map(([option = '', fallback = '']) => [/^`--([a-z-]+)/.exec(option)?.[1] ?? option, { option, fallback }]));
  const declared = commands.find(({ name }) => name === 'attach')?.options ?? new Map<string, Declared>();
  t.same([...rows.keys()].sort(), [...declared.keys()].sort(), 'the same options');
  for (const [name, option] of declared) {
    const row = rows.get(name);
    const expected = option.type === 'boolean' ? 'off' : defaultOf(option);
    // Where there is no default, the document says in words what holds.
    if (expected !== null) t.equal(row?.fallback.replace(/ \(.*\)$/, '').replaceAll('`', ''), expected, `--${name}`);
    if (option.choices) t.match(row?.option, option.choices.join('|'), `--${name}: choices`);
  }
  t.end();
});
