// SPDX-License-Identifier: MIT
/** `vnet-bpf demo`: the loop at work, step by step, in a throwaway namespace. Exit code 1 if a step does not hold. */
import { ADDRESS, IFACE, type Sandbox } from './sandbox';
import { snapshot } from './snapshot';
import { proves, say, title } from './stage';

/** Returns what the namespace looked like before. */
export async function attach(box: Sandbox): Promise<string> {
  title('A network card out of nothing');
  say(`First a network namespace: a private copy of this machine's network, so that nothing outside is touched.
    Then vnet-bpf makes ${IFACE} in it, a network card without hardware. What it transmits comes back as received:
    a small BPF program, checked and run by the kernel, puts each transmitted packet into a queue; a program in
    TypeScript takes it out and hands it back to the kernel as if it had come in from the network.`);
  box.open();
  const before = await snapshot(box);
  await box.show(`vnet-bpf attach ${box.where} --addr ${ADDRESS}/24 --daemon`);
  return before;
}

export async function look(box: Sandbox): Promise<void> {
  title('To every program it is a network card like any other');
  say('It is up and has a random hardware address. No other new interface can be seen.');
  await box.show(`ip -n ${box.netns} -brief link`);
  const links = JSON.parse(await box.quietly(`ip -n ${box.netns} -json link`)) as { ifname: string; flags: string[]; address: string }[];
  const vnet = links.find(({ ifname }) => ifname === IFACE);
  const others = links.filter(({ ifname }) => ifname !== IFACE && ifname !== 'lo');
  proves(vnet !== undefined && vnet.flags.includes('UP') && others.length === 0, `${IFACE} is UP with the address ${vnet?.address}`, JSON.stringify(links));
}

export async function ping(box: Sandbox): Promise<void> {
  title('A ping that really travels');
  say(`Linux answers a ping of its own address by a short cut and sends no packet. Here each of the four
    requests and each of the four replies leaves through ${IFACE} and comes back through it.`);
  const before = await box.stats();
  const output = await box.show(`ip netns exec ${box.netns} ping -c 4 -i 0.2 ${ADDRESS}`, (text) => text.replace(/\nrtt.*\n/, ''));
  proves(output.includes('4 received'), '4 of 4 came back', 'some are missing');
  const after = await box.statsWhen((stats) => stats.tx.packets === stats.rx.packets, 10);
  const [sent, received] = [after.tx.packets - before.tx.packets, after.rx.packets - before.rx.packets];
  proves(sent >= 8 && sent === received, `${IFACE} transmitted ${sent} packets and received ${received}`, `${sent} sent, ${received} received`);
}
