// SPDX-License-Identifier: MIT
/**
 * Cleans up after a test or a `vnet-bpf run` that cannot do it any more: a shell that waits for our end
 * of a pipe to close, which happens however this process ends, SIGKILL included. Programs that were
 * started in the namespace would keep it alive without a name, so they are ended first.
 */
import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import * as path from 'node:path';

import { programEnvironment, SYSTEM_PATH } from '../native/environment';

const MAIN = path.join(__dirname, '..', 'cli', 'main.js');
const SCRIPT = `
read -r dismissed && exit
exec 2>/dev/null >/dev/null
for signal in TERM KILL KILL; do
  for pid in $(ip netns pids "$4"); do kill -$signal $pid; done
  for wait in 1 2 3 4 5 6 7 8 9 10; do
    [ -z "$(ip netns pids "$4")" ] && break 2
    sleep 0.1
  done
done
"$1" "$2" detach "$3" --netns "$4"
ip netns del "$4"
`;

export interface Guardian {
  /** There is nothing left to clean up. */
  dismiss(): void;
}

export function guard(netns: string, iface: string): Guardian {
  // A session of its own: Ctrl-C is for the test, not for who cleans up behind it.
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'guardian', process.execPath, MAIN, iface, netns], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { ...programEnvironment(), PATH: SYSTEM_PATH },
  });
  // No process, or no descriptor, was free: then this process cleans up, unless it is killed.
  child.on('error', () => undefined);
  const stdin = child.stdin as unknown as Socket;
  stdin.on('error', () => undefined);
  child.unref();
  stdin.unref();
  return { dismiss: () => void stdin.end('dismissed\n') };
}
