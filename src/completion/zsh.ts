// SPDX-License-Identifier: MIT
import { wordsOf, type Command, type Declared } from '../cli/declarations';
import { quoted } from '../state/named';
import { HEADER, INTERFACES, NAMESPACES, operandsOf, valueOf, type Words } from './words';

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

/** Text within [] or before a colon. */
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
