// SPDX-License-Identifier: MIT
/**
 * The C twin of our poller. The product attaches, so that the kernel half is the same to the byte;
 * then its controller is killed and the twin takes its place on the pinned maps.
 */
import { attachmentCalled } from '../../../src/lifecycle/its-link';
import { roomFrameMax } from '../../../src/link/credit';
import { Netns } from '../../../src/link/netns';
import { pinDirectory } from '../../../src/state/bpffs';
import { peerNetnsFile } from '../../../src/state/paths';
import type { Attachment } from '../../../src/state/store';
import { lives } from '../../helpers/controller';
import { freshNetns } from '../namespace';
import { startIn, toolFile } from '../tool';
import { attachProduct, IFACE, requireBalance } from './ours';
import type { Stage, System } from './system';

function attachmentOf(netns: string): Attachment {
  using inside = Netns.named(netns);
  const found = attachmentCalled(IFACE, inside);
  if (!found) throw new Error(`${IFACE} in ${netns} is not attached`);
  return found;
}

async function kill(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  while (lives(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The twin behind the product at `main`, attached with these options. */
export function twin(main: string, args: readonly string[]): System {
  return {
    name: 'twin',
    open: async (cpu): Promise<Stage> => {
      const { netns, remove } = freshNetns();
      const { pid, detach } = attachProduct(main, netns, args);
      const { id, peer, rooms, lowWatermarkBytes, budget, superpacketBytes } = attachmentOf(netns);
      await kill(pid);
      const tool = startIn(peerNetnsFile(), toolFile('twin'), [
        pinDirectory(id), peer?.ifindex ?? 0, rooms[0]?.entry.ifindex ?? 0, lowWatermarkBytes, budget, cpu, roomFrameMax(superpacketBytes),
      ]); // prettier-ignore
      await tool.ready;
      return {
        netns,
        iface: IFACE,
        pid: tool.child.pid ?? null,
        close: async () => {
          tool.stop();
          await tool.result;
          requireBalance(main, netns);
          detach();
          remove();
        },
      };
    },
  };
}
