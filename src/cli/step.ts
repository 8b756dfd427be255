// SPDX-License-Identifier: MIT
/** `vnet-bpf step`: the debugger of a NIC. Whatever ends it, the loop goes on. */
import { ControlClient } from '../controller/control-socket';
import { requireAttachment } from '../controller/find-attachment';
import { checkInterfaceName, checkNetnsName } from '../controller/options';
import { requirePrivileges } from '../controller/privileges';
import { parseFilter } from '../filter/expression';
import { controlSocket } from '../state/store';
import { remoteLoop } from '../step/remote-loop';
import { Stepper } from '../step/stepper';
import { TypedLines } from '../step/typed-lines';
import { tell } from './output';

export async function stepCommand(args: { iface: string; netns: string | undefined; filter: string | undefined }): Promise<void> {
  checkInterfaceName(args.iface);
  const netns = args.netns === undefined ? null : checkNetnsName(args.netns);
  const filter = args.filter === undefined ? null : parseFilter(args.filter);
  requirePrivileges();
  const attachment = requireAttachment(args.iface, netns);
  using client = await ControlClient.connect(controlSocket(attachment.id));
  try {
    await client.ask({ order: 'pause' });
    await new Stepper(remoteLoop(client), new TypedLines(process.stdin), tell, filter).run();
    await client.ask({ order: 'resume' });
    tell(`${attachment.iface} loops again`);
  } finally {
    process.stdin.destroy(); // it would keep the process
  }
}
