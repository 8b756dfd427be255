// SPDX-License-Identifier: MIT
/** `vnet-bpf hook`: replaces the hook of an interface, or removes it, while traffic flows. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { ControlClient } from '../control/socket';
import { commandFor, shellWord, usageError, VnetError } from '../errors';
import type { OnHookError } from '../hooks/contract';
import { requireAttachment } from '../lifecycle/find-attachment';
import { absolutePath } from '../native/inherited';
import { removeFile } from '../native/removal';
import { NotTrusted, trustedPath } from '../native/trusted';
import { checkInterfaceName, checkNetnsName } from '../options/values';
import { requirePrivileges } from '../requirements';
import { controlSocket } from '../state/store';
import { tell, tellNotice } from '../terminal/output';

// `vnet-bpf hook --init FILE`: writes a first hook, and beside it what an editor needs to find all types:
// tsconfig.json, package.json, and the declarations of `vnet-bpf/hooks` and `vnet-bpf/faults`.

/** The directory of the declarations, and the entry points in it, by the names that files import. */
const DIST = path.join(__dirname, '..', '..', 'dist');
const ENTRIES: Readonly<Record<string, string>> = {
  'vnet-bpf/hooks': path.join('hooks', 'index.d.ts'),
  'vnet-bpf/faults': path.join('faults', 'index.d.ts'),
};
/** Where the declarations are copied, relative to the hook. */
const TYPES = path.join('types', 'vnet-bpf');

const TYPESCRIPT = `// Sees each frame that the interface transmits: docs/hooks.md of vnet-bpf has a tutorial and the reference.
import { summaryOf, type Hook } from 'vnet-bpf/hooks';

const hook: Hook = {
  frame(frame, nic) {
    if (frame.icmp ?? frame.icmpv6) nic.log(summaryOf(frame).join('; '));
    return 'pass';
  },
};

export default hook;
`;

const JAVASCRIPT = `// Sees each frame that the interface transmits: docs/hooks.md of vnet-bpf has a tutorial and the reference.
import { summaryOf } from 'vnet-bpf/hooks';

/** @type {import('vnet-bpf/hooks').Hook} */
const hook = {
  frame(frame, nic) {
    if (frame.icmp ?? frame.icmpv6) nic.log(summaryOf(frame).join('; '));
    return 'pass';
  },
};

export default hook;
`;

const TEMPLATES: Readonly<Record<string, string>> = {
  '.ts': TYPESCRIPT,
  '.mts': TYPESCRIPT,
  '.js': JAVASCRIPT,
  '.mjs': JAVASCRIPT,
};

const json = (document: unknown): string => `${JSON.stringify(document, null, 2)}\n`;

/** ES modules as Node resolves them, and no output: vnet-bpf removes the types itself. */
const TSCONFIG = json({
  compilerOptions: {
    target: 'es2022',
    lib: ['es2023'],
    module: 'nodenext',
    strict: true,
    noEmit: true,
    allowJs: true,
    checkJs: true,
    skipLibCheck: true,
    paths: Object.fromEntries(Object.entries(ENTRIES).map(([name, file]) => [name, [`./${path.join(TYPES, file)}`]])),
  },
  include: ['**/*.ts', '**/*.mts', '**/*.js', '**/*.mjs'],
  exclude: ['types', 'node_modules'],
});

/** Makes .ts and .js files ES modules, which allow a top-level await. */
const PACKAGE = json({ private: true, type: 'module' });

/** Adds to `found` the declarations that a file needs, itself included, as paths relative to `root`. */
function declarations(root: string, file: string, found: Set<string>): void {
  if (found.has(file)) return;
  found.add(file);
  for (const [, name = ''] of fs
    .readFileSync(path.join(root, file), 'utf8')
    .matchAll(/(?:from|import\()\s*'(\.[^']*)'/g)) {
    const target = path.join(path.dirname(file), name);
    const each = [`${target}.d.ts`, path.join(target, 'index.d.ts')].find((candidate) =>
      fs.existsSync(path.join(root, candidate)),
    );
    if (each !== undefined) declarations(root, each, found);
  }
}

function writeTypes(directory: string): void {
  const types = path.join(directory, TYPES);
  const found = new Set<string>();
  for (const entry of Object.values(ENTRIES)) declarations(DIST, entry, found);
  for (const file of found) {
    fs.mkdirSync(path.dirname(path.join(types, file)), { recursive: true });
    fs.writeFileSync(path.join(types, file), fs.readFileSync(path.join(DIST, file)));
  }
  // They import each other without file extensions, as in CommonJS.
  fs.writeFileSync(path.join(types, 'package.json'), json({ private: true, type: 'commonjs' }));
}

/** Writes a file unless it exists; returns whether it was written. One that cannot be written to its end is removed. */
function writeNew(file: string, text: string): boolean {
  let fd: number;
  try {
    fd = fs.openSync(file, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
  try {
    fs.writeFileSync(fd, text);
    return true;
  } catch (error) {
    removeFile(file);
    throw error;
  } finally {
    fs.closeSync(fd);
  }
}

const isThere = (file: string, text: string): boolean => fs.readFileSync(file, 'utf8') === text;

/** The directory itself, or its nearest parent that exists. */
const existing = (directory: string): string =>
  fs.existsSync(directory) || directory === '/' ? directory : existing(path.dirname(directory));

/**
 * Makes sure that root writes only where other users cannot redirect the write; a hook elsewhere would be refused
 * anyway.
 */
function requireOwnDirectory(directory: string, file: string): void {
  if (process.geteuid?.() !== 0) return;
  try {
    trustedPath(directory);
  } catch (cause) {
    if (!(cause instanceof NotTrusted)) throw cause;
    throw new VnetError('HOOK', `hook ${file}`, `${cause.message}, and a hook runs with the rights of root`, {
      hint: 'name a file in a directory that only root can write to: /etc/vnet-bpf/hook.ts',
      cause,
    });
  }
}

export interface Initialized {
  /** The hook's absolute path. */
  file: string;
  /** False if there was a file already: it stays as it is, and only the types are renewed. */
  isNew: boolean;
  /** Files that already existed and were not changed. */
  kept: string[];
}

/** Writes a first hook, unless the file exists, and the types. Throws a VnetError if something cannot be written. */
export function initHook(name: string): Initialized {
  const template = TEMPLATES[path.extname(name)];
  if (template === undefined)
    throw usageError(
      `--init "${name}"`,
      'is not the name of a file of TypeScript or JavaScript',
      `a name that ends in ${Object.keys(TEMPLATES).join(', ')}: vnet-bpf hook --init hook.ts`,
    );
  const file = absolutePath(name);
  const directory = path.dirname(file);
  try {
    requireOwnDirectory(existing(directory), file);
    fs.mkdirSync(directory, { recursive: true });
    const isNew = writeNew(file, template);
    const kept = [
      ['tsconfig.json', TSCONFIG],
      ['package.json', PACKAGE],
    ].flatMap(([beside = '', text = '']) =>
      writeNew(path.join(directory, beside), text) || isThere(path.join(directory, beside), text) ? [] : [beside],
    );
    writeTypes(directory);
    return { file, isNew, kept };
  } catch (cause) {
    if (cause instanceof VnetError) throw cause;
    throw new VnetError(
      'HOOK',
      `hook ${file}`,
      `cannot be written: ${(cause as NodeJS.ErrnoException).code ?? (cause as Error).message}`,
      { hint: 'name a file in a directory that you may write to', cause },
    );
  }
}

/**
 * Shell commands that put a new hook on an interface; the hook of a user other than root is first installed for root.
 */
export function commandsFor(file: string, isRoot: boolean): string {
  if (isRoot) return `vnet-bpf hook vnet0 ${shellWord(file)}`;
  const installed = shellWord(path.join('/etc/vnet-bpf', path.basename(file)));
  return `sudo install -D -m 644 ${shellWord(file)} ${installed} && sudo vnet-bpf hook vnet0 ${installed}`;
}

export function initCommand(name: string): void {
  const { file, isNew, kept } = initHook(name);
  const types = path.join(path.dirname(file), TYPES);
  if (!isNew)
    return tell(`${file} is there already, and stays as it is; its types in ${types} are those of this version`);
  tell(`${file} is a hook, with its types in ${types}`);
  if (kept.length > 0)
    tell(`${kept.join(' and ')} beside it was there already: docs/hooks.md shows what an editor needs in it`);
  tell(`${commandsFor(file, process.geteuid?.() === 0)} puts it on an interface`);
}

interface HookArguments {
  iface: string | undefined;
  file: string | undefined;
  none: boolean;
  init: string | undefined;
  netns: string | undefined;
  onHookError: OnHookError | undefined;
}

/** Timeout in milliseconds: compiling a hook may take a long time. */
const TIMEOUT_MS = 60_000;

export async function hookCommand(args: HookArguments): Promise<void> {
  if (args.init !== undefined) return init(args.init, args);
  if (args.iface === undefined)
    throw usageError(
      'hook',
      '<iface> is missing',
      'vnet-bpf hook vnet0 ./hook.ts; vnet-bpf hook --init hook.ts writes a first one',
    );
  checkInterfaceName(args.iface);
  const netns = args.netns === undefined ? null : checkNetnsName(args.netns);
  if (args.none === (args.file !== undefined))
    throw usageError(`hook ${args.iface}`, 'give a file or --none', commandFor('hook', args.iface, netns, './hook.ts'));
  requirePrivileges();
  const attachment = requireAttachment(args.iface, netns);
  const file = args.file === undefined ? null : absolutePath(args.file);
  using client = await ControlClient.connect(controlSocket(attachment.id));
  const warning = await client.ask({ order: 'hook', file, onError: args.onHookError ?? null }, TIMEOUT_MS);
  tell(file === null ? `${attachment.iface} has no hook` : `${attachment.iface} has the hook ${file}`);
  if (typeof warning === 'string') tellNotice(`vnet-bpf: ${warning}`);
}

function init(file: string, { iface, none, netns, onHookError }: HookArguments): void {
  if (iface !== undefined || none || netns !== undefined || onHookError !== undefined)
    throw usageError(
      '--init',
      'stands alone: it writes a file and concerns no interface',
      `vnet-bpf hook --init ${file}`,
    );
  initCommand(file);
}
