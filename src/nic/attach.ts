// SPDX-License-Identifier: MIT
/** attach() of the library. */
import { attachAll } from '../controller/attach-all';
import type { Controller } from '../controller/controller';
import { parseListenAddress } from '../metrics/address';
import { inLibrary } from '../options/place';
import { Nic } from './nic';
import { toAttachOptions, type NicOptions } from './nic-options';

/**
 * Makes an interface whose transmitted frames come back as received ones. Needs root, and Linux 6.1 or later. Resolves
 * when it is up and has its addresses.
 *
 * @param iface its name, such as `vnet0`
 * @throws VnetError with a stable `code`; nothing is left behind then
 */
export async function attach(iface: string, options: NicOptions = {}): Promise<Nic> {
  const checked = toAttachOptions(iface, options);
  const { signal, metrics } = options;
  const metricsAt = metrics === undefined ? null : parseListenAddress(metrics, inLibrary('metrics', metrics, String));
  signal?.throwIfAborted();
  const controllers: Controller[] = [];
  await attachAll([iface], checked, metricsAt, controllers);
  const nic = new Nic(controllers[0] as Controller);
  const abort = (): void => void nic.detach();
  signal?.addEventListener('abort', abort, { once: true });
  nic.once('detached', () => signal?.removeEventListener('abort', abort));
  if (!signal?.aborted) return nic;
  await nic.detach();
  throw signal.reason;
}
