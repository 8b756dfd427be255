// SPDX-License-Identifier: MIT
/**
 * Fault injection for tests: VNET_BPF_TEST_KILL_AT=<step> ends the process with SIGKILL when it
 * comes to that step of attach or detach. VNET_BPF_TEST_STEPS=1 prints the steps instead.
 */
export function step(name: string): void {
  if (process.env['VNET_BPF_TEST_STEPS']) process.stderr.write(`step ${name}\n`);
  if (process.env['VNET_BPF_TEST_KILL_AT'] === name) process.kill(process.pid, 'SIGKILL');
}
