// SPDX-License-Identifier: MIT
/** `vnet-bpf web`: serves a page that shows interfaces at work in a browser, until it is ended. */
import { usageError } from '../errors';
import { requireAttachment } from '../lifecycle/find-attachment';
import { isLoopback, type ListenAddress, parseListenAddress } from '../metrics/address';
import { programVersion } from '../native/node';
import { checkInterfaceName, checkNetnsName, onCommandLine } from '../options/values';
import { requirePrivileges } from '../requirements';
import type { Attachment } from '../state/store';
import { print, tellNotice } from '../terminal/output';
import { endSignals } from '../terminal/signals';
import { WebServer } from '../web/server';
import { selectedNow } from './selection';

interface WebArguments {
  iface: string[] | undefined;
  netns: string | undefined;
  listen: string;
  allowRemote: boolean;
  readOnly: boolean;
}

export async function webCommand(args: WebArguments): Promise<void> {
  const { netns, readOnly } = args;
  const names = args.iface ?? [];
  names.forEach(checkInterfaceName);
  if (netns !== undefined) checkNetnsName(netns);
  const address = addressOf(args);
  requirePrivileges();
  // An interface that is missing now is an error; one that goes later is not.
  names.forEach((name) => requireAttachment(name, netns ?? null));
  const look = (): Attachment[] =>
    names.length === 0
      ? selectedNow({ iface: undefined, netns })
      : names.flatMap((iface) => selectedNow({ iface, netns }));
  await using server = await WebServer.listen({ address, version: programVersion(), readOnly, look });
  if (!isLoopback(address.host))
    tellNotice(
      `warning: ${server.url.replace(/#.*/, '')} is open to the network, unencrypted: whoever reads the token there ${readOnly ? 'sees the frames' : 'sees the frames, and can change what happens to them'}`,
    );
  print(server.url);
  // Not before: a signal ends a process that waits for the reader of the address.
  await new Promise<void>((resolve) => endSignals().forEach((signal) => process.once(signal, () => resolve())));
}

function addressOf({ listen, allowRemote }: WebArguments): ListenAddress {
  const address = parseListenAddress(listen, onCommandLine('listen', listen));
  if (isLoopback(address.host) || allowRemote) return address;
  throw usageError(
    `--listen ${listen}`,
    'other machines reach that address',
    'ssh -L 8080:127.0.0.1:8080 is safer; --allow-remote allows it, unencrypted',
  );
}
