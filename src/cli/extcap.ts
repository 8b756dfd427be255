// SPDX-License-Identifier: MIT
/**
 * `vnet-bpf extcap`: lets Wireshark find the attached interfaces and record one (see extcap(4)). Each line of a list is
 * a word followed by `{name=value}` pairs.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { oneFile, openPipeSink } from '../capture/sink';
import { named, quoted, usageError, VnetError } from '../errors';
import { absolutePath, homeDirectory } from '../native/inherited';
import { programVersion } from '../native/node';
import { putFile, trustedPath, withoutForeignLinks } from '../native/trusted';
import { parseFilter } from '../packet/filter';
import { printable } from '../printable';
import { requirePrivileges } from '../requirements';
import { allAttachments, type Attachment, isControlled } from '../state/store';
import { print, tell } from '../terminal/output';
import { DEFAULT_BUFFER, MAX_SNAPLEN, MIN_SNAPLEN } from './arguments';
import { record, recorderOptions } from './record';

// `vnet-bpf extcap --install`: writes a program where Wireshark looks for it.

const MADE_HERE = '# Made by vnet-bpf extcap --install: how Wireshark finds looping interfaces.';
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;

/** Where Wireshark looks besides its own directory: before version 4.2, and since. */
export const personalDirectories = (env: NodeJS.ProcessEnv = process.env): string[] => {
  const { XDG_CONFIG_HOME = '' } = env;
  const home = homeDirectory(env);
  return [
    path.join(path.isAbsolute(XDG_CONFIG_HOME) ? XDG_CONFIG_HOME : path.join(home, '.config'), 'wireshark', 'extcap'),
    path.join(home, '.local', 'lib', 'wireshark', 'extcap'),
  ];
};

/** A program that calls this one, through sudo unless Wireshark runs as root. */
function script(): string {
  const command = [process.execPath, fs.realpathSync(process.argv[1] as string)].map(quoted).join(' ');
  return `#!/bin/sh\n${MADE_HERE}\n[ "$(id -u)" = 0 ] && exec ${command} extcap "$@"\nexec sudo -n ${command} extcap "$@"\n`;
}

/**
 * Checks a directory: root writes only where no other user can, and other users only where no link of another user
 * leads.
 */
const checkedDirectory = (directory: string): string =>
  process.geteuid?.() === 0 ? trustedPath(directory) : withoutForeignLinks(directory).real;

/** The directory itself, or its nearest parent that exists. */
function existing(directory: string): string {
  while (!fs.existsSync(directory)) directory = path.dirname(directory);
  return directory;
}

/** Throws if there is a file of that name that this command has not made. */
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

/**
 * Throws if there are other options, whatever their values, so that a sudoers rule that demands one does not allow
 * installing.
 */
export function requireInstallAlone(args: readonly string[]): void {
  if (args.some((arg) => arg.startsWith('-') && !/^--install(=|$)/.test(arg)))
    throw usageError('--install', 'goes with no other option', 'vnet-bpf extcap --install');
}

/** Writes the program to a directory, or to those of the user's Wireshark if none is named. */
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
      throw new VnetError('SYSCALL', `extcap program ${file}`, cause instanceof Error ? cause.message : String(cause), {
        hint: 'a directory of yours that is there; tshark -G folders names those of Wireshark',
        cause,
      });
    }
    tell(`${file} lets Wireshark see looping interfaces`);
  }
}

const PROGRAM = 'vnet-bpf';

/** Options with which Wireshark calls such a program. */
interface ExtcapArguments {
  extcapInterfaces: boolean;
  extcapInterface: string | undefined;
  extcapDlts: boolean;
  extcapConfig: boolean;
  extcapCaptureFilter: string | undefined;
  capture: boolean;
  fifo: string | undefined;
  snaplen: string;
  buffer: string;
  install: string | undefined;
}

export async function extcapCommand(args: ExtcapArguments): Promise<void> {
  if (args.install !== undefined) {
    requireInstallAlone(process.argv.slice(2));
    return install(args.install);
  }
  if (args.extcapInterfaces) return listInterfaces();
  if (args.extcapInterface === undefined)
    throw usageError(
      'extcap',
      'is for Wireshark, which says what it wants',
      'vnet-bpf extcap --install lets it find the interfaces: docs/recording.md',
    );
  if (args.extcapDlts) return print('dlt {number=1}{name=EN10MB}{display=Ethernet}');
  if (args.extcapConfig) return listOptions();
  // Without --capture, Wireshark takes the output as the reason why the filter is wrong.
  if (!args.capture) return checkFilter(args.extcapCaptureFilter);
  if (args.fifo === undefined) throw usageError('--capture', 'needs --fifo', 'Wireshark gives it');
  await capture(args.extcapInterface, args.fifo, args);
}

function checkFilter(expression: string | undefined): void {
  try {
    if (expression) parseFilter(expression);
  } catch (error) {
    if (!(error instanceof VnetError)) throw error;
    print(error.message);
  }
}

/** The name that users choose in Wireshark and with `tshark -i`: no interface of the machine has such a name. */
const nameOf = ({ iface, netns }: Attachment): string =>
  inBraces(`${PROGRAM}-${iface}${netns.name === null ? '' : `@${netns.name}`}`);

/** Escapes what would end a value, or its line. */
const inBraces = (text: string): string =>
  printable(text).replace(/[{}]/g, (brace) => `\\x${brace.charCodeAt(0).toString(16)}`);

/** Attached interfaces. Only root can see them; for others the list is empty, because Wireshark asks at each start. */
const running = (): Attachment[] => (process.geteuid?.() === 0 ? allAttachments().filter(isControlled) : []);

function listInterfaces(): void {
  print(`extcap {version=${programVersion()}}{display=vnet-bpf}`);
  for (const attachment of running())
    print(
      `interface {value=${nameOf(attachment)}}{display=What vnet-bpf does to ${inBraces(named(attachment.iface, attachment.netns.name))}}`,
    );
}

function listOptions(): void {
  print(
    `arg {number=0}{call=--snaplen}{display=Bytes of each frame}{type=unsigned}{range=${MIN_SNAPLEN},${MAX_SNAPLEN}}{default=${MAX_SNAPLEN}}`,
  );
  print(
    `arg {number=1}{call=--buffer}{display=Buffer}{tooltip=Where frames wait for Wireshark: a power of two}{type=string}{default=${DEFAULT_BUFFER}}`,
  );
}

async function capture(name: string, fifo: string, args: ExtcapArguments): Promise<void> {
  const options = recorderOptions({ ...args, count: undefined, filter: args.extcapCaptureFilter || undefined });
  requirePrivileges();
  const attachment = running().find((each) => nameOf(each) === name);
  if (!attachment)
    throw new VnetError('NOT_ATTACHED', `interface ${name}`, 'is not attached any more', {
      hint: 'refresh the list of interfaces (F5)',
    });
  // Wireshark does not read from a recorder that it has stopped, and would display a message about that.
  await record(
    attachment,
    oneFile(() => openPipeSink(fifo)),
    options,
    Infinity,
    { beforeExit: () => undefined },
  );
  process.exit();
}
