// SPDX-License-Identifier: MIT
import type { Command, Declared } from '../cli/declarations';
import { HEADER, INTERFACES, NAMESPACES, operandsOf, optionNames, valueOf, type Words } from './words';

/** One a line, because that is how the names of others come. */
const wordList = (words: readonly string[]): string => `words=$'${words.join('\\n')}'`;

/** What bash does in a place of that kind. */
function bashAction(words: Words): string {
  switch (words.kind) {
    case 'choices':
      return wordList(words.choices);
    case 'interfaces':
      return `words=$(${INTERFACES})`;
    case 'namespaces':
      return `words=$(${NAMESPACES})`;
    case 'files':
      return 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return';
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
