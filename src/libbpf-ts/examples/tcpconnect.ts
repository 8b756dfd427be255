// SPDX-License-Identifier: MIT
// Prints each TCP connection that is begun, until interrupted: npx tsx tcpconnect.ts
import { cString } from 'libbpf-ts';
import { Tcpconnect } from './tcpconnect.generated';

const AF_INET = 2;

function addressText(family: number, bytes: Uint8Array): string {
  if (family === AF_INET) return bytes.slice(12).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname; // with :: for a row of zeros
}

async function main(): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());

  using skel = Tcpconnect.open('tcpconnect.bpf.o');
  skel.load();
  skel.attach();
  console.log('PID      COMMAND          FROM -> TO');

  const { signal } = interrupted;
  for await (const { pid, comm, family, from, to, port } of skel.maps.connections.stream({ signal })) {
    const who = `${String(pid).padEnd(8)} ${cString(comm).padEnd(16)}`;
    console.log(`${who} ${addressText(family, from)} -> ${addressText(family, to)}:${port}`);
  }
}

void main();
