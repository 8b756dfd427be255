// SPDX-License-Identifier: MIT
/**
 * `vnet-bpf completion`: prints a script that lets a shell complete by itself; starting Node for each key would take
 * too long.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import { quoted, usageError, VnetError } from '../errors';
import { putFile } from '../native/trusted';
import { printMade, tell } from '../terminal/output';
import { type Command, type CommandTable, type Declared, GLOBAL_OPTIONS, wordsOf } from './declarations';

// What may stand at a position of a command line.

export type Words =
  | { kind: 'choices'; choices: readonly string[] }
  | { kind: 'interfaces' | 'namespaces' | 'files' | 'anything' };

/** What follows an option; null for one that takes no value. */
export function valueOf(option: string, declared: Declared): Words | null {
  if (declared.type === 'boolean') return null;
  if (declared.choices) return { kind: 'choices', choices: declared.choices };
  if (option === 'netns') return { kind: 'namespaces' };
  return { kind: ['hook', 'init', 'write'].includes(option) ? 'files' : 'anything' };
}

/** The operands of a command, in order; the last one may be repeated. `commands` are all commands. */
export function operandsOf({ positionals }: Command, commands: readonly Command[]): Words[] {
  return [...positionals].map(([name, { choices }]): Words => {
    if (choices) return { kind: 'choices', choices };
    if (name === 'command') return { kind: 'choices', choices: commands.map((command) => command.name) };
    return { kind: name === 'iface' ? 'interfaces' : name === 'file' ? 'files' : 'anything' };
  });
}

/**
 * Shell commands that print names, one per line. The records are root's: for other users they print nothing, silently.
 * zsh reports a pattern that matches nothing, so find(1) looks for the files.
 */
export const INTERFACES = `find /run/vnet-bpf -name state.json -exec sed -n 's/^  "iface": "\\(.*\\)",$/\\1/p' {} + 2>/dev/null`;
export const NAMESPACES = 'find /run/netns -mindepth 1 -maxdepth 1 2>/dev/null | sed "s,.*/,,"';

export const optionNames = (options: ReadonlyMap<string, Declared>): string[] => [...options.keys()].map((name) => `--${name}`);

export const HEADER = `# SPDX-License-Identifier: MIT
# Made by vnet-bpf completion; vnet-bpf completion --help says how it is used.`;

/** Words, one per line, because names that the shell commands print come that way. */
const wordList = (words: readonly string[]): string => `words=$'${words.join('\\n')}'`;

/** What bash does for a position of that kind. */
function bashAction(words: Words): string {
  switch (words.kind) {
    case 'choices':
      return wordList(words.choices);
    case 'interfaces':
      return `words=$(${INTERFACES})`;
    case 'namespaces':
      return `words=$(${NAMESPACES})`;
    case 'files':
      return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return';
    case 'anything':
      return 'return';
  }
}

function operandPlaces(command: Command, commands: readonly Command[]): string {
  const operands = operandsOf(command, commands);
  if (operands.length === 0) return '';
  const places = operands.map((words, i) => `              ${i === operands.length - 1 ? '*' : i}) ${bashAction(words)} ;;\n`);
  return `          else
            case $operands in
${places.join('')}            esac
`;
}

function bashCase(command: Command, commands: readonly Command[], global: ReadonlyMap<string, Declared>): string {
  const values = [...command.options].flatMap(([name, declared]) => {
    const words = valueOf(name, declared);
    return words ? [`        --${name}) ${bashAction(words)} ;;\n`] : [];
  });
  return `    ${command.name})
      case $prev in
${values.join('')}        *)
          if [[ $cur == -* ]]; then ${wordList(optionNames(new Map([...command.options, ...global])))}
${operandPlaces(command, commands)}          fi ;;
      esac ;;`;
}

export function bashScript(commands: readonly Command[], global: ReadonlyMap<string, Declared>): string {
  const withValue = [...new Set(commands.flatMap(({ options }) => [...options].filter(([name, declared]) => valueOf(name, declared)).map(([name]) => `--${name}`)))];
  return `${HEADER}
_vnet_bpf() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words='' command='' operands=0 word before=''
  # Bash cuts --type=veth at the sign.
  [[ $cur == = ]] && cur=''
  [[ $prev == = ]] && prev=\${COMP_WORDS[COMP_CWORD-2]}
  # Operands are counted without what belongs to an option.
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $before in ${withValue.join('|')}) before=$word; [[ $word == = ]] && before=--netns; continue ;; esac
    before=$word
    [[ $word == -* || $word == = ]] && continue
    if [[ -z $command ]]; then command=$word; else operands=$((operands + 1)); fi
  done
  COMPREPLY=()
  case $command in
    '') ${wordList([...commands.map(({ name }) => name), ...optionNames(global)])} ;;
${commands.map((command) => bashCase(command, commands, global)).join('\n')}
  esac
  # Not compgen -W: it would expand what a name contains.
  while IFS= read -r word; do
    [[ -n $word && $word == "$cur"* ]] && COMPREPLY+=("$(printf %q "$word")")
  done <<<"$words"
}
complete -F _vnet_bpf vnet-bpf
`;
}

/** An action of _arguments. */
function zshAction(words: Words): string {
  switch (words.kind) {
    case 'choices':
      return `(${words.choices.join(' ')})`;
    case 'interfaces':
      return '_vnet_bpf_interfaces';
    case 'namespaces':
      return '_vnet_bpf_namespaces';
    case 'files':
      return '_files';
    case 'anything':
      return ' ';
  }
}

/** Text escaped for use within [] or before a colon. */
const plain = (text: string): string => text.replace(/[[\]:]/g, '\\$&');

function optionSpec(name: string, declared: Declared): string {
  const words = valueOf(name, declared);
  const many = declared.array ? '*' : '';
  return quoted(`${many}--${name}[${plain(wordsOf(declared))}]${words ? `:${name}:${zshAction(words)}` : ''}`);
}

function zshCase(command: Command, commands: readonly Command[], global: ReadonlyMap<string, Declared>): string {
  const names = [...command.positionals.keys()];
  const repeated = command.usage.includes('...');
  const operands = operandsOf(command, commands).map((words, i) => quoted(`${repeated ? '*' : i + 1}:${names[i]}:${zshAction(words)}`));
  const specs = [...[...command.options, ...global].map(([name, declared]) => optionSpec(name, declared)), ...operands];
  return `    ${command.name}) _arguments ${specs.join(' ')} ;;`;
}

export function zshScript(commands: readonly Command[], global: ReadonlyMap<string, Declared>): string {
  return `#compdef vnet-bpf
${HEADER}
_vnet_bpf_interfaces() { compadd -- \${(f)"$(${INTERFACES})"} }
_vnet_bpf_namespaces() { compadd -- \${(f)"$(${NAMESPACES})"} }
_vnet_bpf() {
  local curcontext=$curcontext state line
  local -a commands
  _arguments -C ${[...global].map(([name, declared]) => optionSpec(name, declared)).join(' ')} '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      commands=(${commands.map(({ name, describe }) => quoted(`${name}:${plain(describe)}`)).join(' ')})
      _describe -t commands command commands
      return ;;
    argument) ;;
    *) return ;;
  esac
  case $line[1] in
${commands.map((command) => zshCase(command, commands, global)).join('\n')}
  esac
}
# Autoloaded from fpath it is called; read by eval or source it is registered.
if [[ $funcstack[1] == _vnet-bpf ]]; then _vnet_bpf "$@"; else compdef _vnet_bpf vnet-bpf; fi
`;
}

/** Flags of complete(1) for a position of that kind; -x also says that an option takes a value. */
function flags(words: Words): string {
  switch (words.kind) {
    case 'choices':
      return `-x -a ${quoted(words.choices.join(' '))}`;
    case 'interfaces':
      return `-x -a '(__vnet_bpf_interfaces)'`;
    case 'namespaces':
      return `-x -a '(__vnet_bpf_namespaces)'`;
    case 'files':
      return '-r -F';
    case 'anything':
      return '-x';
  }
}

function optionLine(condition: string, name: string, declared: Declared): string {
  const words = valueOf(name, declared);
  const short = declared.alias === undefined ? '' : ` -s ${declared.alias}`;
  return `complete -c vnet-bpf -n ${quoted(condition)} -l ${name}${short}${words ? ` ${flags(words)}` : ''} -d ${quoted(wordsOf(declared))}`;
}

function fishLines(command: Command, commands: readonly Command[]): string[] {
  const condition = `__fish_seen_subcommand_from ${command.name}`;
  return [
    `complete -c vnet-bpf -n __fish_use_subcommand -a ${command.name} -d ${quoted(command.describe)}`,
    ...[...command.options].map(([name, declared]) => optionLine(condition, name, declared)),
    ...operandsOf(command, commands)
      .filter(({ kind }) => kind !== 'anything')
      .map((words) => `complete -c vnet-bpf -n ${quoted(condition)} ${flags(words).replace(/^-[xr] /, '')}`),
  ];
}

export function fishScript(commands: readonly Command[], global: ReadonlyMap<string, Declared>): string {
  return `${HEADER}
function __vnet_bpf_interfaces
  ${INTERFACES}
end
function __vnet_bpf_namespaces
  ${NAMESPACES}
end
complete -c vnet-bpf -f
${[...global].map(([name, declared]) => optionLine('true', name, declared)).join('\n')}
${commands.flatMap((command) => fishLines(command, commands)).join('\n')}
`;
}

const SCRIPTS = { bash: bashScript, fish: fishScript, zsh: zshScript };
type Shell = keyof typeof SCRIPTS;

const scriptOf = (shell: Shell, table: CommandTable): string => SCRIPTS[shell](table.all(), GLOBAL_OPTIONS).trimEnd();

/** The file where a shell looks: for all users if root asks, else for this user alone. */
export function completionFile(shell: Shell, isRoot: boolean, { HOME = '', XDG_DATA_HOME = '', XDG_CONFIG_HOME = '' } = process.env): string {
  const home = path.isAbsolute(HOME) ? HOME : os.userInfo().homedir;
  const below = (directory: string, otherwise: string): string => (path.isAbsolute(directory) ? directory : path.join(home, otherwise));
  const share = isRoot ? '/usr/local/share' : below(XDG_DATA_HOME, '.local/share');
  switch (shell) {
    case 'bash':
      return path.join(share, 'bash-completion', 'completions', 'vnet-bpf');
    case 'zsh':
      return path.join(share, 'zsh', 'site-functions', '_vnet-bpf');
    case 'fish':
      return isRoot ? path.join(share, 'fish', 'vendor_completions.d', 'vnet-bpf.fish') : path.join(below(XDG_CONFIG_HOME, '.config'), 'fish', 'completions', 'vnet-bpf.fish');
  }
}

export function completionCommand({ shell, install }: { shell: Shell | undefined; install: boolean }, table: CommandTable): void {
  if (install) {
    const isRoot = process.geteuid?.() === 0;
    for (const each of shell ? [shell] : (Object.keys(SCRIPTS) as Shell[])) installFor(each, isRoot, table).forEach((line) => tell(line));
    return;
  }
  if (!shell) throw usageError('completion', 'for which shell? bash, zsh or fish', 'vnet-bpf completion --install puts it where each looks for it');
  printMade(scriptOf(shell, table));
}

/** Installs the script; returns what to tell the user, line by line. */
export function installFor(shell: Shell, isRoot: boolean, table: CommandTable, env = process.env): string[] {
  const file = completionFile(shell, isRoot, env);
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    putFile(file, `${scriptOf(shell, table)}\n`, 0o644);
  } catch (cause) {
    throw new VnetError('SYSCALL', `completion for ${shell}`, (cause as Error).message, { hint: `vnet-bpf completion ${shell} prints it`, cause });
  }
  const done = `${file} completes vnet-bpf in ${shell}`;
  return shell === 'zsh' && !isRoot ? [done, `in ~/.zshrc, before compinit: fpath+=('${path.dirname(file)}')`] : [done];
}
