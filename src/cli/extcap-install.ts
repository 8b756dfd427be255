// SPDX-License-Identifier: MIT
/** `vnet-bpf extcap --install`: puts a program where Wireshark looks for it. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import { usageError, VnetError } from '../errors';
import { trustedPath, withoutForeignLinks } from '../native/trusted';
import { absolutePath } from '../native/working-directory';
import { quoted } from '../state/named';
import { tell } from './output';
import { putFile } from './put-file';

const MADE_HERE = '# Made by vnet-bpf extcap --install: how Wireshark finds looping interfaces.';
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;

/** Where Wireshark looks besides its own directory: before 4.2, and since. */
export const personalDirectories = ({ XDG_CONFIG_HOME = '', HOME = '' } = process.env): string[] => {
  const home = path.isAbsolute(HOME) ? HOME : os.userInfo().homedir;
  return [path.join(path.isAbsolute(XDG_CONFIG_HOME) ? XDG_CONFIG_HOME : path.join(home, '.config'), 'wireshark', 'extcap'), path.join(home, '.local', 'lib', 'wireshark', 'extcap')];
};

/** A program that calls this one: through sudo, unless Wireshark is root's. */
function script(): string {
  const command = [process.execPath, fs.realpathSync(process.argv[1] as string)].map(quoted).join(' ');
  return `#!/bin/sh\n${MADE_HERE}\n[ "$(id -u)" = 0 ] && exec ${command} extcap "$@"\nexec sudo -n ${command} extcap "$@"\n`;
}

/** Root writes where nobody else can; everybody else where no link of somebody else leads. */
const checkedDirectory = (directory: string): string => (process.geteuid?.() === 0 ? trustedPath(directory) : withoutForeignLinks(directory).real);

/** The directory itself, or the last one above it that is there. */
function existing(directory: string): string {
  while (!fs.existsSync(directory)) directory = path.dirname(directory);
  return directory;
}

/** Throws if there is anything of that name that this command has not made. */
function requireOurs(file: string): void {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (!stat) return;
  const refuse = (): never => {
    throw new Error('it is there already, and was not made by this command');
  };
  if (!stat.isFile()) refuse();
  const fd = fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    if (!fs.readFileSync(fd, 'utf8').includes(`\n${MADE_HERE}\n`)) refuse();
  } finally {
    fs.closeSync(fd);
  }
}

/** Throws for other options, whatever their values, so that a rule in sudoers that demands one allows no installing. */
export function requireInstallAlone(args: readonly string[]): void {
  if (args.some((arg) => arg.startsWith('-') && !/^--install(=|$)/.test(arg))) throw usageError('--install', 'goes with no other option', 'vnet-bpf extcap --install');
}

/** Makes the program in a directory, or in those of the user's Wireshark if none is named. */
export function install(directory: string): void {
  for (const each of directory === '' ? personalDirectories() : [directory]) {
    let file = path.join(each, 'vnet-bpf');
    try {
      if (directory === '') {
        checkedDirectory(existing(each));
        fs.mkdirSync(each, { recursive: true });
      }
      file = path.join(checkedDirectory(absolutePath(each)), 'vnet-bpf');
      requireOurs(file);
      putFile(file, script(), 0o755);
    } catch (cause) {
      throw new VnetError('SYSCALL', `extcap program ${file}`, cause instanceof Error ? cause.message : String(cause), { hint: 'a directory of yours that is there; tshark -G folders names those of Wireshark', cause });
    }
    tell(`${file} lets Wireshark see looping interfaces`);
  }
}
