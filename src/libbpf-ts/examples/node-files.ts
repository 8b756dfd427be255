// SPDX-License-Identifier: MIT
// Prints the files that a process of Node.js opens with libuv, until interrupted: npx tsx node-files.ts PID
import { constants, readFileSync, readlinkSync } from 'node:fs';
import { attachUprobe, cString } from 'libbpf-ts';
import { NodeFiles } from './node-files.generated';

async function main(pid: number): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());

  using skel = NodeFiles.open('node-files.bpf.o');
  skel.load();
  // Node.js contains libuv, unless a distribution has it as a library.
  const library = /\/\S*\/libuv\.so\S*/.exec(readFileSync(`/proc/${pid}/maps`, 'utf8'))?.[0];
  const path = library ?? readlinkSync(`/proc/${pid}/exe`);
  skel.links.on_open = attachUprobe(skel.programs.on_open, { path, function: 'uv_fs_open', pid });
  console.log(`waiting for files that ${pid} opens, in ${path}`);

  for await (const { flags, path } of skel.maps.files.stream({ signal: interrupted.signal })) {
    const writes = (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0;
    console.log(`${writes ? 'write' : 'read '} ${cString(path)}`);
  }
}

void main(Number(process.argv[2]));
