// SPDX-License-Identifier: MIT
/** The manual is whole and in order, and docs/cli.md knows every command and option, with its default. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { COMMANDS } from '../../src/cli/commands';
import { type Command, commandNamed, type Declared, defaultOf } from '../../src/cli/declarations';
import { plain, tableBelow } from '../../src/setup/man-page';
import { ROOT } from '../helpers/cli';
import { run } from '../helpers/netns';

const PAGE = path.join(ROOT, 'dist', 'man', 'vnet-bpf.1');
const document = fs.readFileSync(path.join(ROOT, 'docs', 'cli.md'), 'utf8');

t.test('declarations are read', (t) => {
  t.ok(COMMANDS.length >= 10, `${COMMANDS.length} commands`);
  const { options } = commandNamed(COMMANDS, 'attach') as Command;
  t.ok(Object.keys(options).length >= 18, 'attach has its options');
  t.equal(defaultOf(options['ring-size'] as Declared), '8M');
  t.end();
});

t.test('the manual', (t) => {
  const page = fs.readFileSync(PAGE, 'utf8');
  for (const { name, options } of COMMANDS) {
    t.ok(page.includes(`\\fB${plain(name)}\\fR`), name);
    t.same(
      Object.keys(options).filter((option) => !page.includes(plain(`--${option}`))),
      [],
      `${name}: options`,
    );
  }
  t.match(page, /NOTIFY_SOCKET/, 'the environment');
  const { status } = run('sh', ['-c', 'command -v groff']);
  if (status !== 0) t.comment('there is no groff: its syntax is not checked');
  else
    t.same(
      run('groff', ['-man', '-ww', '-z', PAGE]),
      { status: 0, stdout: '', stderr: '' },
      'groff has nothing to say against it',
    );
  t.end();
});

const synopsis = document.slice(0, document.indexOf('\n## ')).split('\n');

/** The table of options in a command's part of the document: option and default of each row, by name. */
function optionTable(name: string): Map<string, { option: string; fallback: string }> {
  const part = document.split('\n## ').find((each) => each.startsWith(`${name}\n`)) ?? '';
  const at = part.indexOf('\n| option |');
  const rows = at < 0 ? [] : tableBelow(`## options${part.slice(at)}`, '## options');
  return new Map(
    rows.map(([option = '', fallback = '']) => [/^`--([a-z-]+)/.exec(option)?.[1] ?? option, { option, fallback }]),
  );
}

for (const { name, operands, options, withoutRoot } of COMMANDS) {
  t.test(`docs/cli.md: ${name}`, async (t) => {
    const usage = synopsis.filter((line) => line.startsWith(`vnet-bpf ${name}`)).join('\n');
    t.ok(usage, 'is in the synopsis');
    t.ok(document.includes(`\n## ${name}\n`), 'has a part of its own');
    const shown = ({ name: operand, choices = [] }: Command['operands'][number]): boolean =>
      [operand, choices.join('|') || operand].some((words) => usage.toLowerCase().includes(words));
    t.same(
      operands.filter((operand) => !shown(operand)),
      [],
      'operands',
    );
    const table = optionTable(name);
    t.same(
      Object.keys(options).filter((option) => !table.has(option) && !usage.includes(`--${option}`)),
      [],
      'options are in the synopsis or in the table',
    );
    t.same(
      [...table.keys()].filter((option) => !Object.hasOwn(options, option)),
      [],
      'the table has no others',
    );
    for (const [option, { option: shown, fallback }] of table) {
      const declared = options[option] as Declared;
      const expected = declared.isFlag ? 'off' : defaultOf(declared);
      // Where there is no default, the document says in words what holds.
      if (expected !== null)
        t.equal(
          fallback
            .replace(/ \(.*\)$/, '')
            .replaceAll('`', '')
            .replace(' and ', ' '),
          expected,
          `--${option}`,
        );
      if (declared.choices)
        t.same(/ ([^ `]+)`/.exec(shown)?.[1]?.split('|').sort(), [...declared.choices].sort(), `--${option}: choices`);
    }
    t.equal(
      /^All commands except (.*) need root\.$/m.exec(document.replaceAll('. ', '.\n'))?.[1]?.includes(`\`${name}\``),
      withoutRoot === true,
      'whether it needs root',
    );
  });
}
