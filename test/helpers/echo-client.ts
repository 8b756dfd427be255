// SPDX-License-Identifier: MIT
/** Sends random bytes to an echo server at port 7 from inside a namespace, and compares what comes back. */
import type { Test } from 'tap';

import type { EchoResult } from './echo-tool';
import { startTool } from './tool-process';

export const EchoClient = {
  /** Whether one datagram comes back unchanged. */
  async udp(t: Test, netns: string, address: string, bytes: number): Promise<boolean> {
    return (await startTool<EchoResult>(t, netns, 'echo-tool', 'udp', { address, bytes }).result).equal;
  },

  /** Sends everything, closes its side, and reads to the end. */
  tcp: (t: Test, netns: string, address: string, bytes: number): Promise<EchoResult> =>
    startTool<EchoResult>(t, netns, 'echo-tool', 'tcp', { address, bytes }).result,
};
