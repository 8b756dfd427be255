// SPDX-License-Identifier: MIT
/** Presses Tab after a command line in each of the shells, and returns what they would offer. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { ROOT } from './cli';
import { run, type Result } from './netns';

export type Shell = 'bash' | 'fish' | 'zsh';

const scriptOf = (shell: Shell): string => path.join(ROOT, 'dist', 'completion', `vnet-bpf.${shell}`);

/** The words as bash splits them: at blanks, and at the equals sign of --type=veth. */
const BASH = `
source "$1"
read -ra COMP_WORDS <<<"\${2//=/ = }"
[[ $2 == *[\\ =] ]] && COMP_WORDS+=('')
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
compopt() { :; } # it may only be called by a completion that a key has started
_vnet_bpf
printf '%s\\n' "\${COMPREPLY[@]}"
`;

const FISH = 'source $argv[1]; complete -C $argv[2]';

/** Runs in the shell that completes: the arguments of compadd go to a file, and the first Tab ends the shell. */
const ZSH_INNER = `
# The list of functions is made once and kept.
autoload -Uz compinit; compinit -u -C -d $OUT.dump
source $SCRIPT
bindkey '^I' complete-word
compadd() {
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
  local -a hits
  builtin compadd -A hits "$@"
  print -rl -- $hits >>$OUT
}
finished() { exit }
comppostfuncs=(finished)
print -r ready
`;

/** zsh completes only on a terminal, so it gets one. */
const ZSH_OUTER = `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "source $1"
until [[ $line == ready* ]]; do zpty -r shell line || exit 1; done
zpty -w -n shell "$2"$'\\t'
while zpty -r shell line; do :; done
`;

export type Runner = (program: string, args: readonly string[], env: NodeJS.ProcessEnv) => Result;

const here: Runner = (program, args, env) => run(program, args, { env: { ...process.env, ...env } });

/** Everything offered, sorted. The directory is for files of zsh. */
export function complete(shell: Shell, line: string, directory: string, runner: Runner = here): string[] {
  const out = path.join(directory, 'offered');
  fs.rmSync(out, { force: true });
  let result: Result;
  if (shell === 'zsh') {
    const inner = path.join(directory, 'inner.zsh');
    fs.writeFileSync(inner, ZSH_INNER);
    result = runner('timeout', ['20', 'zsh', '-f', '-c', ZSH_OUTER, 'zsh', inner, line], {
      SCRIPT: scriptOf(shell),
      OUT: out,
    });
    if (fs.existsSync(out)) result.stdout = fs.readFileSync(out, 'utf8');
  } else if (shell === 'fish') result = runner('fish', ['--no-config', '-c', FISH, scriptOf(shell), line], {});
  else result = runner('bash', ['--norc', '-c', BASH, 'bash', scriptOf(shell), line], {});
  if (result.status !== 0 || (shell !== 'zsh' && result.stderr !== ''))
    throw new Error(`${shell}: "${line}": status ${result.status}: ${result.stderr}`);
  // fish puts the description of an offer after a tab.
  return [
    ...new Set(
      result.stdout
        .split('\n')
        .map((offer) => offer.split('\t')[0] as string)
        .filter(Boolean),
    ),
  ].sort();
}
