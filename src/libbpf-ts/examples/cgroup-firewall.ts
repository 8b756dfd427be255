// SPDX-License-Identifier: MIT
// Lets the processes of a cgroup connect to no address of some networks, until interrupted:
//   npx tsx cgroup-firewall.ts /sys/fs/cgroup/jail 10.0.0.0/8 169.254.169.254
import { attachCgroup, cString } from 'libbpf-ts';
import { CgroupFirewall } from './cgroup-firewall.generated';

async function main(path: string, networks: string[]): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());

  using skel = CgroupFirewall.open('cgroup-firewall.bpf.o');
  skel.load();
  for (const network of networks) {
    const [address = '', bits = 32] = network.split('/');
    skel.maps.denied.set({ prefix_length: Number(bits), address: address.split('.').map(Number) }, 1);
  }
  skel.links.on_connect = attachCgroup(skel.programs.on_connect, { path });
  console.log(`${path}: no connections to ${networks.join(', ')}`);

  for await (const { pid, comm, address, port } of skel.maps.refusals.stream({ signal: interrupted.signal }))
    console.log(`${pid} ${cString(comm)}: ${address.join('.')}:${port} refused`);
}

const [path = '', ...networks] = process.argv.slice(2);
void main(path, networks);
