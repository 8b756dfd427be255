// SPDX-License-Identifier: MIT
/** `vnet-bpf replay`: sends the frames of a capture file on an interface. */
import { openAttachmentNetns } from '../controller/teardown';
import { requireAttachment } from '../controller/find-attachment';
import { requirePrivileges } from '../controller/privileges';
import { VnetError } from '../errors';
import { framesOf, openCapture } from '../replay/capture-file';
import { FrameSender } from '../replay/frame-sender';
import { Pace } from '../replay/pace';
import { Replay } from '../replay/replay';
import { commandAbout } from '../state/named';
import { jsonText, tell, tellMade } from './output';
import type { ReplayArguments } from './record-arguments';
import { checkSelection } from './selection';

export async function replayCommand({ file, into, netns: name, timing, json }: ReplayArguments): Promise<void> {
  checkSelection({ iface: into, netns: name });
  requirePrivileges();
  const attachment = requireAttachment(into, name ?? null);
  using netns = openAttachmentNetns(attachment);
  if (!netns) throw new VnetError('NO_SUCH_NETNS', `interface ${into}`, 'its network namespace is gone', { hint: `${commandAbout('detach', attachment)} removes what is left` });
  const input = openCapture(file);
  using sender = FrameSender.open(netns, into, attachment.ifindex);
  const replay = new Replay(sender, timing === 'original' ? new Pace() : null);
  const start = performance.now();
  try {
    for await (const frames of framesOf(input)) await replay.send(frames);
  } finally {
    input.destroy();
    sender.flush();
    const seconds = (performance.now() - start) / 1000;
    if (json) tellMade(jsonText({ interface: into, netns: attachment.netns.name, file, sent: sender.sent, refused: Object.fromEntries(sender.refused), cut: replay.cut, seconds }));
    else tell(report(sender, into, seconds));
  }
  if (replay.cut > 0) throw new VnetError('STATE', `${replay.cut} frames of ${file}`, 'are not there whole and were not sent', { hint: 'record or capture without a --snaplen' });
  const wrong = [...sender.refused].filter(([error]) => error !== 'ENOBUFS').map(([error, count]) => `${count} with ${error}`);
  if (wrong.length > 0) throw new VnetError('SYSCALL', `frames of ${file}`, `the kernel did not take ${wrong.join(', ')}`, { hint: `EMSGSIZE: ip link set ${into} mtu 9000; EINVAL: they are no Ethernet frames` });
}

function report({ sent, refused }: FrameSender, into: string, seconds: number): string {
  const full = refused.get('ENOBUFS') ?? 0;
  return `${sent} frames sent on ${into} in ${seconds.toFixed(3)} s${full === 0 ? '' : `, ${full} refused: its queue was full`}`;
}
