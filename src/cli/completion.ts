// SPDX-License-Identifier: MIT
/** `vnet-bpf completion`: a script for a shell, which answers by itself: Node would take too long to start for each key. */
import { bashScript } from '../completion/bash';
import { fishScript } from '../completion/fish';
import { zshScript } from '../completion/zsh';
import { declaredCommands, GLOBAL_OPTIONS } from './declarations';
import { printMade } from './output';

const SCRIPTS = { bash: bashScript, fish: fishScript, zsh: zshScript };

export function completionCommand({ shell }: { shell: keyof typeof SCRIPTS }): void {
  printMade(SCRIPTS[shell](declaredCommands(), GLOBAL_OPTIONS).trimEnd());
}
