// SPDX-License-Identifier: MIT
// Shares a service among servers of the same network until interrupted; what follows the service are their MAC addresses:
//   npx tsx xdp-balancer.ts eth1 192.0.2.100:80 52:54:00:00:00:01 52:54:00:00:00:02
// Each server has 192.0.2.100 on lo, and net.ipv4.conf.all.arp_ignore=1 and arp_announce=2.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { attachXdp } from 'libbpf-ts';
import { XdpBalancer } from './xdp-balancer.generated';

async function main(device: string, service: string, macs: string[]): Promise<void> {
  using skel = XdpBalancer.open('xdp-balancer.bpf.o');
  const [address = '', port] = service.split(':');
  skel.rodata.address = Buffer.from(address.split('.').map(Number)).readUInt32LE(); // the bytes as they are in a packet
  skel.rodata.port = Number(port);
  skel.rodata.server_count = macs.length;
  skel.load();
  macs.forEach((mac, i) => skel.maps.servers.set(i, { mac: Buffer.from(mac.replaceAll(':', ''), 'hex') }));

  const ifindex = Number(readFileSync(`/sys/class/net/${device}/ifindex`, 'utf8'));
  skel.links.balance = attachXdp(skel.programs.balance, { ifindex });
  console.log(`${service} on ${device}: ${macs.length} servers`);

  const alive = setInterval(() => {}, 1000);
  await once(process, 'SIGINT');
  clearInterval(alive);
  macs.forEach((mac, i) => console.log(`${mac}: ${skel.maps.servers.get(i)?.packets} packets`));
}

const [device = 'eth1', service = '192.0.2.100:80', ...macs] = process.argv.slice(2);
void main(device, service, macs);
