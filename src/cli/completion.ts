// SPDX-License-Identifier: MIT
/**
 * `vnet-bpf completion`: prints a script that lets a shell complete by itself; starting Node for each key would take
 * too long.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { quoted, usageError, VnetError } from '../errors';
import { PROFILES } from '../impair/words';
import { homeDirectory } from '../native/inherited';
import { putFile } from '../native/trusted';
import { printMade, tell } from '../terminal/output';
import {
  type Call,
  type Command,
  type Declared,
  GLOBAL_OPTIONS,
  type Offered,
  type Operand,
  type Options,
  type SHELLS,
} from './declarations';

// What may stand at a position of a command line.

type Words =
  { kind: 'choices'; choices: readonly string[] } | { kind: Exclude<Offered, 'commands' | 'wires'> | 'anything' };

/** What an operand or the value of an option may be. `commands` are all commands. */
function wordsFor({ choices, offers }: Operand | Declared, commands: readonly Command[]): Words {
  if (choices) return { kind: 'choices', choices };
  if (offers === 'commands') return { kind: 'choices', choices: commands.map(({ name }) => name) };
  if (offers === 'wires') return { kind: 'choices', choices: Object.keys(PROFILES) };
  return { kind: offers ?? 'anything' };
}

/** What follows an option; null for one that takes no value. */
const valueOf = (declared: Declared, commands: readonly Command[]): Words | null =>
  declared.isFlag ? null : wordsFor(declared, commands);

/**
 * Shell commands that print names, one per line. The records are root's: for other users they print nothing, silently.
 * zsh reports a pattern that matches nothing, so find(1) looks for the files. `command` passes over aliases and
 * functions of the user's shell, which may have another `find`.
 */
const INTERFACES = `command find /run/vnet-bpf -name state.json -exec sed -n 's/^  "iface": "\\(.*\\)",$/\\1/p' {} + 2>/dev/null`;
const NAMESPACES = 'command find /run/netns -mindepth 1 -maxdepth 1 2>/dev/null | command sed "s,.*/,,"';

const optionNames = (options: Options): string[] => Object.keys(options).map((name) => `--${name}`);

const HEADER = `# SPDX-License-Identifier: MIT
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
  const { operands } = command;
  if (operands.length === 0) return '';
  const places = operands.map(
    (operand, i) =>
      `              ${i === operands.length - 1 ? '*' : i}) ${bashAction(wordsFor(operand, commands))} ;;\n`,
  );
  return `          else
            case $operands in
${places.join('')}            esac
`;
}

function bashCase(command: Command, commands: readonly Command[]): string {
  const values = Object.entries(command.options).flatMap(([name, declared]) => {
    const words = valueOf(declared, commands);
    return words ? [`        --${name}) ${bashAction(words)} ;;\n`] : [];
  });
  return `    ${command.name})
      case $prev in
${values.join('')}        *)
          if [[ $cur == -* ]]; then ${wordList(optionNames({ ...command.options, ...GLOBAL_OPTIONS }))}
${operandPlaces(command, commands)}          fi ;;
      esac ;;`;
}

function bashScript(commands: readonly Command[]): string {
  const withValue = [
    ...new Set(
      commands.flatMap(({ options }) =>
        Object.entries(options).flatMap(([name, { isFlag }]) => (isFlag ? [] : [`--${name}`])),
      ),
    ),
  ];
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
    '') ${wordList([...commands.map(({ name }) => name), ...optionNames(GLOBAL_OPTIONS)])} ;;
${commands.map((command) => bashCase(command, commands)).join('\n')}
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

function optionSpec([name, declared]: [string, Declared], commands: readonly Command[]): string {
  const words = valueOf(declared, commands);
  const many = declared.repeatable ? '*' : '';
  return quoted(`${many}--${name}[${plain(declared.describe)}]${words ? `:${name}:${zshAction(words)}` : ''}`);
}

function zshCase(command: Command, commands: readonly Command[]): string {
  const operands = command.operands.map((operand, i) =>
    quoted(`${operand.takesRest ? '*' : i + 1}:${operand.name}:${zshAction(wordsFor(operand, commands))}`),
  );
  const specs = [
    ...Object.entries({ ...command.options, ...GLOBAL_OPTIONS }).map((option) => optionSpec(option, commands)),
    ...operands,
  ];
  return `    ${command.name}) _arguments ${specs.join(' ')} ;;`;
}

function zshScript(commands: readonly Command[]): string {
  return `#compdef vnet-bpf
${HEADER}
_vnet_bpf_interfaces() { compadd -- \${(f)"$(${INTERFACES})"} }
_vnet_bpf_namespaces() { compadd -- \${(f)"$(${NAMESPACES})"} }
_vnet_bpf() {
  local curcontext=$curcontext state line
  local -a commands
  _arguments -C ${Object.entries(GLOBAL_OPTIONS)
    .map((option) => optionSpec(option, commands))
    .join(' ')} '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      commands=(${commands.map(({ name, describe }) => quoted(`${name}:${plain(describe)}`)).join(' ')})
      _describe -t commands command commands
      return ;;
    argument) ;;
    *) return ;;
  esac
  case $line[1] in
${commands.map((command) => zshCase(command, commands)).join('\n')}
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

function optionLine(condition: string, [name, declared]: [string, Declared], commands: readonly Command[]): string {
  const words = valueOf(declared, commands);
  const short = declared.short === undefined ? '' : ` -s ${declared.short}`;
  return `complete -c vnet-bpf -n ${quoted(condition)} -l ${name}${short}${words ? ` ${flags(words)}` : ''} -d ${quoted(declared.describe)}`;
}

function fishLines(command: Command, commands: readonly Command[]): string[] {
  const condition = `__fish_seen_subcommand_from ${command.name}`;
  return [
    `complete -c vnet-bpf -n __fish_use_subcommand -a ${command.name} -d ${quoted(command.describe)}`,
    ...Object.entries(command.options).map((option) => optionLine(condition, option, commands)),
    ...command.operands
      .map((operand) => wordsFor(operand, commands))
      .filter(({ kind }) => kind !== 'anything')
      .map((words) => `complete -c vnet-bpf -n ${quoted(condition)} ${flags(words).replace(/^-[xr] /, '')}`),
  ];
}

function fishScript(commands: readonly Command[]): string {
  return `${HEADER}
function __vnet_bpf_interfaces
  ${INTERFACES}
end
function __vnet_bpf_namespaces
  ${NAMESPACES}
end
complete -c vnet-bpf -f
${Object.entries(GLOBAL_OPTIONS)
  .map((option) => optionLine('true', option, commands))
  .join('\n')}
${commands.flatMap((command) => fishLines(command, commands)).join('\n')}
`;
}

type Shell = (typeof SHELLS)[number];

const SCRIPTS: Readonly<Record<Shell, (commands: readonly Command[]) => string>> = {
  bash: bashScript,
  fish: fishScript,
  zsh: zshScript,
};

const scriptOf = (shell: Shell, commands: readonly Command[]): string => SCRIPTS[shell](commands).trimEnd();

/** The file where a shell looks: for all users if root asks, else for this user alone. */
export function completionFile(shell: Shell, isRoot: boolean, env: NodeJS.ProcessEnv = process.env): string {
  const { XDG_DATA_HOME = '', XDG_CONFIG_HOME = '' } = env;
  const below = (directory: string, otherwise: string): string =>
    path.isAbsolute(directory) ? directory : path.join(homeDirectory(env), otherwise);
  const share = isRoot ? '/usr/local/share' : below(XDG_DATA_HOME, '.local/share');
  switch (shell) {
    case 'bash':
      return path.join(share, 'bash-completion', 'completions', 'vnet-bpf');
    case 'zsh':
      return path.join(share, 'zsh', 'site-functions', '_vnet-bpf');
    case 'fish':
      return isRoot
        ? path.join(share, 'fish', 'vendor_completions.d', 'vnet-bpf.fish')
        : path.join(below(XDG_CONFIG_HOME, '.config'), 'fish', 'completions', 'vnet-bpf.fish');
  }
}

export function completionCommand(
  { shell, install }: { shell: Shell | undefined; install: boolean },
  { commands }: Call,
): void {
  if (install) {
    const isRoot = process.geteuid?.() === 0;
    for (const each of shell ? [shell] : (Object.keys(SCRIPTS) as Shell[]))
      installFor(each, isRoot, commands).forEach((line) => tell(line));
    return;
  }
  if (!shell)
    throw usageError(
      'completion',
      'for which shell? bash, zsh or fish',
      'vnet-bpf completion --install puts it where each looks for it',
    );
  printMade(scriptOf(shell, commands));
}

/** Installs the script; returns what to tell the user, line by line. */
export function installFor(shell: Shell, isRoot: boolean, commands: readonly Command[], env = process.env): string[] {
  const file = completionFile(shell, isRoot, env);
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    putFile(file, `${scriptOf(shell, commands)}\n`, 0o644);
  } catch (cause) {
    throw new VnetError('SYSCALL', `completion for ${shell}`, (cause as Error).message, {
      hint: `vnet-bpf completion ${shell} prints it`,
      cause,
    });
  }
  const done = `${file} completes vnet-bpf in ${shell}`;
  return shell === 'zsh' && !isRoot ? [done, `in ~/.zshrc, before compinit: fpath+=('${path.dirname(file)}')`] : [done];
}
