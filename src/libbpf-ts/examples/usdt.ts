// SPDX-License-Identifier: MIT
// Prints when a static probe of a program or library fires, until interrupted. `readelf -n FILE` lists the probes.
//   npx tsx usdt.ts /usr/bin/python3 python:gc__done
// Node.js has no static probes from version 19 on: node-files.ts probes its functions.
import { attachUsdt, cString } from 'libbpf-ts';
import { Usdt } from './usdt.generated';

async function main(path: string, probe: string): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());

  using skel = Usdt.open('usdt.bpf.o');
  skel.load();
  const [provider = '', name = ''] = probe.split(':');
  skel.links.on_probe = attachUsdt(skel.programs.on_probe, { path, provider, name });
  console.log(`waiting for ${probe} in ${path}`);

  for await (const firing of skel.maps.firings.stream({ signal: interrupted.signal })) {
    const { pid, comm, arguments: all, argument_count: count } = firing;
    console.log(`${pid} ${cString(comm)}: ${probe}(${all.slice(0, count).join(', ')})`);
  }
}

const [path = '/usr/bin/python3', probe = 'python:gc__done'] = process.argv.slice(2);
void main(path, probe);
