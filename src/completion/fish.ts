// SPDX-License-Identifier: MIT
import { wordsOf, type Command, type Declared } from '../cli/declarations';
import { quoted } from '../state/named';
import { HEADER, INTERFACES, NAMESPACES, operandsOf, valueOf, type Words } from './words';

/** Flags of complete(1) for a place of that kind; -x also says that an option takes a value. */
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
