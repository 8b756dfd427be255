// SPDX-License-Identifier: MIT
/** `vnet-bpf completion`: a script for a shell, which answers by itself: Node would take too long to start for each key. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import { bashScript } from '../completion/bash';
import { fishScript } from '../completion/fish';
import { zshScript } from '../completion/zsh';
import { usageError, VnetError } from '../errors';
import type { CommandTable } from './command-table';
import { GLOBAL_OPTIONS } from './declarations';
import { printMade, tell } from './output';
import { putFile } from './put-file';

const SCRIPTS = { bash: bashScript, fish: fishScript, zsh: zshScript };
type Shell = keyof typeof SCRIPTS;

const scriptOf = (shell: Shell, table: CommandTable): string => SCRIPTS[shell](table.all(), GLOBAL_OPTIONS).trimEnd();

/** Where a shell looks: for everybody, if root asks, else for the user alone. */
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

/** Puts the script in its place; what there is to say about it, in lines. */
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
