// SPDX-License-Identifier: MIT
/**
 * `node echo-tool udp|tcp OPTIONS-AS-JSON`: a client of the echo service, in a process of its own; see echo-client.ts.
 */
import { createHash, randomBytes } from 'node:crypto';
import * as dgram from 'node:dgram';
import { once } from 'node:events';
import * as net from 'node:net';

export interface EchoResult {
  received: number;
  equal: boolean;
}

const PORT = 7;
const TIMEOUT_MS = 60_000;

async function udp(address: string, bytes: number): Promise<EchoResult> {
  const socket = dgram.createSocket(net.isIPv6(address) ? 'udp6' : 'udp4');
  const sent = randomBytes(bytes);
  socket.connect(PORT, address);
  await once(socket, 'connect');
  socket.send(sent);
  const [received] = (await once(socket, 'message', { signal: AbortSignal.timeout(TIMEOUT_MS) })) as [Buffer];
  socket.close();
  return { received: received.length, equal: received.equals(sent) };
}

async function tcp(address: string, bytes: number): Promise<EchoResult> {
  const sent = randomBytes(bytes);
  const socket = net.connect({ host: address, port: PORT, allowHalfOpen: true });
  socket.end(sent);
  const hash = createHash('sha256');
  let received = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    hash.update(chunk);
    received += chunk.length;
  }
  return { received, equal: hash.digest('hex') === createHash('sha256').update(sent).digest('hex') };
}

async function main([role, json = '{}']: string[]): Promise<void> {
  const { address, bytes } = JSON.parse(json) as { address: string; bytes: number };
  process.stdout.write(`${JSON.stringify(await (role === 'udp' ? udp : tcp)(address, bytes))}\n`);
}

// Other modules import types from here, so the code below runs only in the process that was started for it.
if (require.main === module) void main(process.argv.slice(2));
