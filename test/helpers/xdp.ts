// SPDX-License-Identifier: MIT
/** An XDP program that lets everything pass, as iproute2 loads it. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import type { Test } from 'tap';

const SOURCE = `
__attribute__((section("xdp"), used)) int plain(void *context) { return 2; }
__attribute__((section("xdp.frags"), used)) int frags(void *context) { return 2; }
char _license[] __attribute__((section("license"), used)) = "GPL";
`;

/** The file of an object with the sections xdp and xdp.frags; it is removed when the test ends. */
export function xdpObject(t: Test): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-xdp-'));
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }));
  const object = path.join(directory, 'x.o');
  execFileSync('clang', ['-target', 'bpf', '-O2', '-x', 'c', '-', '-c', '-o', object], {
    input: SOURCE,
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  return object;
}
