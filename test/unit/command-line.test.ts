// SPDX-License-Identifier: MIT
/** The command line: what is understood, what is said of what is not, and the help. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { COMMANDS } from '../../src/cli/commands';
import { type Command, commandNamed, valueName } from '../../src/cli/declarations';
import { helpText } from '../../src/cli/help';
import { parseCommandLine, type Request } from '../../src/cli/parse';
import { closest, distance, VnetError } from '../../src/errors';
import { MAIN, ROOT } from '../helpers/cli';
import { run } from '../helpers/netns';

const parse = (line: string | readonly string[]): Request =>
  parseCommandLine(COMMANDS, typeof line === 'string' ? line.split(' ').filter(Boolean) : line);

/** The arguments of a line that names a command. */
function argumentsOf(line: string | readonly string[]): Record<string, unknown> {
  const request = parse(line);
  if (request.kind !== 'run') throw new Error(`asks for ${request.kind}`);
  return request.args;
}

function refuses(t: Test, line: string | readonly string[], says: RegExp, hints: RegExp): void {
  const name = typeof line === 'string' ? line : line.join(' ');
  try {
    parse(line);
    t.fail(`${name}: accepted`);
  } catch (error) {
    if (!(error instanceof VnetError)) throw error;
    t.equal(error.code, 'USAGE', name);
    t.match(error.message, says, name);
    t.match(error.hint, hints, `${name}: hint`);
  }
}

t.test('words are understood', async (t) => {
  t.match(argumentsOf('attach vnet0 vnet1 --addr 10.0.0.1/24 --addr fd77::1/64 --mtu=1400'), {
    iface: ['vnet0', 'vnet1'],
    addr: ['10.0.0.1/24', 'fd77::1/64'],
    mtu: '1400',
    daemon: false,
  });
  t.match(argumentsOf('record vnet0 -w - -c5'), { write: '-', count: '5', buffer: '32M' }, 'short options, a default');
  t.match(argumentsOf('record vnet0 -w=run.pcapng'), { write: 'run.pcapng' });
  t.match(argumentsOf('replay - --into vnet0'), { file: '-', into: 'vnet0' }, 'standard input');
  t.match(argumentsOf('replay --into vnet0 -- -odd.pcap'), { file: '-odd.pcap' }, 'a file that looks like an option');
  t.match(
    argumentsOf('stats --watch --json'),
    { watch: '', json: true, iface: undefined },
    'a value that may be left out',
  );
  t.match(argumentsOf('stats --watch 2 vnet0'), { watch: '2', iface: 'vnet0' });
  t.match(
    argumentsOf('--debug --netns lab stats vnet0'),
    { netns: 'lab', iface: 'vnet0', debug: true },
    'options before the command',
  );
  t.match(argumentsOf('stats --json=false'), { json: false });
  t.match(argumentsOf('attach vnet0 --queue-packets -1'), { queuePackets: '-1' }, 'a wrong number is a value');
  t.match(argumentsOf('impair vnet0 delay -5ms -5h'), { words: ['delay', '-5ms', '-5h'] }, 'a wrong word is a word');
  t.match(argumentsOf(['attach', '']), { iface: [''] }, 'an empty name is a name');
});

t.test('help and version, however they are asked for', async (t) => {
  for (const line of ['', '-h', '--help', '--debug --help'])
    t.match(parse(line), { kind: 'help', command: null }, line || 'nothing');
  for (const line of ['attach -h', 'attach --help', 'attach vnet0 --frob --help', '--help attach'])
    t.match(parse(line), { kind: 'help', command: { name: 'attach' } }, line);
  for (const line of ['-V', '--version', 'attach -V']) t.match(parse(line), { kind: 'version' }, line);
  t.match(argumentsOf('help attach'), { command: 'attach' });
  t.match(parse('version'), { kind: 'run', command: { name: 'version' } });
});

t.test('a word that nobody knows', async (t) => {
  refuses(t, 'atach vnet0', /^atach: is not a command$/, /^did you mean attach\?$/);
  refuses(t, 'lsit', /lsit/, /did you mean list\?/);
  refuses(t, 'frobnicate', /frobnicate/, /vnet-bpf --help/);
  refuses(
    t,
    ['attach', 'vnet0', '--adr', '10.0.0.1/24'],
    /^--adr: is not an option of attach$/,
    /did you mean --addr\?/,
  );
  refuses(t, 'stats --jsn', /--jsn/, /did you mean --json\?/);
  refuses(t, 'log --folow', /--folow/, /did you mean --follow\?/);
  refuses(t, '--hlep', /^--hlep: is not an option$/, /did you mean --help\?/);
  refuses(t, 'stats -x', /^-x: is not an option of stats$/, /vnet-bpf stats --help/);
  refuses(t, 'attach vnet0 --when-full hodl', /^--when-full "hodl": is not one of hold, drop$/, /did you mean hold\?/);
  refuses(t, 'completion bsh', /^shell "bsh": is not one of bash, zsh, fish$/, /did you mean bash\?/);
  refuses(t, 'replay f --into vnet0 --timing orignal', /is not one of original, max/, /did you mean original\?/);
});

t.test('what is missing, or too much', async (t) => {
  refuses(t, 'attach', /^attach: <iface> is missing$/, /vnet-bpf attach <iface...>/);
  t.match(argumentsOf('completion --install'), { shell: undefined, install: true }, 'of all shells');
  refuses(t, 'record vnet0', /^record: --write is missing$/, /vnet-bpf record vnet0 -w run.pcapng/);
  refuses(t, 'attach vnet0 --mtu', /^--mtu: takes a value, and there is none$/, /^--mtu N: MTU in bytes/);
  refuses(t, 'stats --netns --json', /^--netns: takes a value/, /--netns NAME/);
  refuses(t, 'record vnet0 -w -c 5', /^-w: takes a value/, /file to write/);
  refuses(
    t,
    'detach vnet0 vnet1',
    /"vnet1" is one word too many/,
    /usage: vnet-bpf detach \[iface\], once for each, or --all$/,
  );
  refuses(t, 'stats --json=maybe', /--json="maybe": takes no value/, /leave it out/);
  refuses(t, 'attach vnet0 --mtu 1500 --mtu 1400', /^--mtu: is given twice$/, /only --addr/);
  refuses(t, '--debug', /which command/, /vnet-bpf --help/);
});

t.test('options that are written as if they could be negated, and other values that mean nothing', async (t) => {
  refuses(t, 'attach vnet0 --no-gro --daemon', /^--no-gro: is not an option of attach$/, /^--gro off$/);
  refuses(t, 'attach --no-mtu vnet0', /^--no-mtu: is not an option of attach$/, /^leave --mtu out$/);
  refuses(t, 'detach vnet0 --no-dry-run', /^--no-dry-run: is not an option of detach$/, /^leave --dry-run out$/);
  refuses(t, 'list --no-json', /^--no-json: is not an option of list$/, /^leave --json out$/);
  refuses(t, 'log -f=x', /^-f="x": takes no value$/, /^give -f alone/);
  t.match(argumentsOf('log -f=true'), { follow: true });
  refuses(t, 'stats --watch=', /^--watch "": is an empty value$/, /leave the value out/);
  refuses(t, ['stats', '--watch', ''], /^--watch "": is an empty value$/, /leave the value out/);
  refuses(t, ['extcap', '--install', ''], /^--install "": is an empty value$/, /leave the value out/);
  refuses(t, '-- list', /"list" is behind --/, /^vnet-bpf list$/);
});

t.test('a command to run that does not stand behind --', async (t) => {
  refuses(t, 'run ping x', /^run: its command comes behind --$/, /^vnet-bpf run -- ping x$/);
  refuses(
    t,
    'run --addr 10.9.8.7/24 ping -c 3 10.9.8.7',
    /behind --/,
    /^vnet-bpf run --addr 10\.9\.8\.7\/24 -- ping -c 3 10\.9\.8\.7$/,
  );
  refuses(t, 'run --netns x', /^--netns: is not an option of run$/, /vnet-bpf run --help/);
  refuses(t, 'run --hok x.ts ping', /^--hok: is not an option of run$/, /did you mean --hook\?/);
  refuses(t, ['run', '--json', 'sh', '-c', 'exit 7'], /behind --/, /^vnet-bpf run --json -- sh -c 'exit 7'$/);
});

t.test("no message is of the parser's own library", async (t) => {
  const lines = COMMANDS.flatMap(({ name }) => [`${name} --frob`, `${name} -q`, `${name} a b c d`, `${name} --netns`]);
  for (const line of lines) {
    try {
      parse(line);
    } catch (error) {
      t.ok(error instanceof VnetError && error.hint, line);
    }
  }
});

t.test('help', async (t) => {
  for (const command of [COMMANDS, ...COMMANDS]) {
    for (const width of [40, 80, 100]) {
      const lines = helpText(command, width);
      // A term is not cut, whatever the width.
      const tooWide = lines.filter((line) => line.length > width && / {3}\S.* {2,}\S/.test(line) && width > 60);
      t.same(tooWide, [], `${'name' in command ? command.name : 'all'} at ${width}`);
    }
  }
  const attach = helpText(commandNamed(COMMANDS, 'attach') as Command, 100).join('\n');
  t.match(attach, /^vnet-bpf attach <iface...> \[options\]$/m);
  t.match(attach, /--ring-size SIZE +size of the ring buffer/);
  t.match(attach, /\[default: 64\]/);
  t.match(attach, /-h, --help/);
  t.match(
    helpText(commandNamed(COMMANDS, 'run') as Command, 100)[0],
    /^vnet-bpf run \[options\] -- COMMAND \[ARGS\.\.\.\]$/,
  );
  t.match(helpText(commandNamed(COMMANDS, 'stats') as Command, 100).join('\n'), /--watch \[SECONDS\]/);
  t.match(helpText(commandNamed(COMMANDS, 'record') as Command, 100).join('\n'), /-w, --write \S+ .*\[required\]/);
});

t.test('commands that start fast have a bundle of their own', async (t) => {
  const bundles = JSON.parse(fs.readFileSync(path.join(ROOT, 'dist', 'cli', 'program.bundles.json'), 'utf8')) as Record<
    string,
    string
  >;
  t.same(
    Object.entries(bundles),
    COMMANDS.flatMap(({ name, quick }) => (quick ? [[name, quick.bundle.name]] : [])),
  );
  for (const name of new Set(Object.values(bundles)))
    t.ok(fs.existsSync(path.join(ROOT, 'dist', 'cli', `${name}.bundle.js.cache`)), name);
  for (const word of ['constructor', 'toString', '__proto__'])
    t.match(run(process.execPath, [MAIN, word]), { status: 2, stderr: `vnet-bpf: ${word}: is not a command\n` }, word);
});

t.test('which word was meant', async (t) => {
  t.same(
    [
      distance('', 'abc'),
      distance('abc', 'abc'),
      distance('abc', 'acb'),
      distance('attach', 'atach'),
      distance('kitten', 'sitting'),
    ],
    [3, 0, 1, 1, 3],
  );
  t.equal(closest('satelite', ['3g', 'dsl', 'satellite', 'modem']), 'satellite');
  t.equal(closest('VNET0', ['vnet0']), 'vnet0');
  t.equal(closest('compl', ['completion', 'carrier']), 'completion', 'a beginning');
  t.equal(closest('st', ['stats', 'step']), null, 'too short a beginning');
  t.equal(closest('ste', ['stats', 'step']), 'step');
  t.equal(closest('x', ['y', 'z']), null, 'nothing of one letter stands for another letter');
  t.equal(closest('', ['stats']), null);
  t.equal(closest('a'.repeat(100_000), ['stats']), null, 'no typing error');
});

t.test('an option is named for what it takes, and completion offers that', async (t) => {
  for (const { name, options } of COMMANDS)
    for (const [option, declared] of Object.entries(options)) {
      if (declared.isFlag || declared.choices) continue;
      const value = valueName(option, declared).replace(/[[\]]/g, '');
      t.type(declared.value, 'string', `${name} --${option}`);
      const offers = { FILE: 'files', DIRECTORY: 'files', 'RULES|FILE': 'files', IFACE: 'interfaces' }[value];
      if (offers !== undefined) t.equal(declared.offers, offers, `${name} --${option} ${value}`);
    }
});
