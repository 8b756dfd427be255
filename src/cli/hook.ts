// SPDX-License-Identifier: MIT
/** `vnet-bpf hook`: another hook, or none, while traffic flows. */
import { ControlClient } from '../controller/control-socket';
import { requireAttachment } from '../controller/find-attachment';
import { checkInterfaceName, checkNetnsName } from '../controller/options';
import { requirePrivileges } from '../controller/privileges';
import { usageError } from '../errors';
import type { OnHookError } from '../hooks/contract';
import { absolutePath } from '../native/working-directory';
import { commandFor } from '../state/named';
import { controlSocket } from '../state/store';
import { initCommand } from './hook-init';
import { tell } from './output';

interface HookArguments {
  iface: string | undefined;
  file: string | undefined;
  none: boolean;
  init: string | undefined;
  netns: string | undefined;
  onHookError: OnHookError | undefined;
}

/** Compiling a hook may take its time. */
const TIMEOUT_MS = 60_000;

export async function hookCommand(args: HookArguments): Promise<void> {
  if (args.init !== undefined) return init(args.init, args);
  if (args.iface === undefined) throw usageError('hook', '<iface> is missing', 'vnet-bpf hook vnet0 ./hook.ts; vnet-bpf hook --init hook.ts writes one to begin with');
  checkInterfaceName(args.iface);
  const netns = args.netns === undefined ? null : checkNetnsName(args.netns);
  if (args.none === (args.file !== undefined)) throw usageError(`hook ${args.iface}`, 'give a file or --none', commandFor('hook', args.iface, netns, './hook.ts'));
  requirePrivileges();
  const attachment = requireAttachment(args.iface, netns);
  const file = args.file === undefined ? null : absolutePath(args.file);
  using client = await ControlClient.connect(controlSocket(attachment.id));
  await client.ask({ order: 'hook', file, onError: args.onHookError ?? null }, TIMEOUT_MS);
  tell(file === null ? `${attachment.iface} has no hook` : `${attachment.iface} has the hook ${file}`);
}

function init(file: string, { iface, none, netns, onHookError }: HookArguments): void {
  if (iface !== undefined || none || netns !== undefined || onHookError !== undefined) throw usageError('--init', 'stands alone: it writes a file, and no interface is concerned', `vnet-bpf hook --init ${file}`);
  initCommand(file);
}
