// SPDX-License-Identifier: MIT
/**
 * A machine of its own for a test: pid and mount namespaces with a /run and a /sys/fs/bpf that nothing else uses.
 * vnet-bpf keeps its state where pid 1 of its machine sees it, so here it finds only what the test attached. Everything
 * ends with the script: its processes, namespaces and interfaces.
 */
import { MAIN } from './cli';
import { run, type Result } from './netns';

const PREPARE = `
set -eu
unset NODE_OPTIONS # tap's module loader
# What the host does with its own mounts there must not be seen here.
awk '$2 ~ "^/run/" { print $2 }' /proc/mounts | while read -r mount; do umount -l "$mount" 2>/dev/null || true; done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns
mount -t bpf bpf /sys/fs/bpf
vnet_bpf() { "$NODE" "$MAIN" "$@"; }
`;

/** Runs a shell script in which the command is called `vnet_bpf`. */
export function onOwnMachine(script: string, env: NodeJS.ProcessEnv = {}): Result {
  // prettier-ignore
  return run('unshare', [
    '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private',
    'sh', '-c', PREPARE + script,
  ], { env: { ...process.env, NODE: process.execPath, MAIN, ...env } });
}
