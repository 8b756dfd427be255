// SPDX-License-Identifier: MIT
/**
 * One end of a stream of traffic, in a process of its own, so that sender, receiver and loop run side by side: `node
 * traffic-tool ROLE OPTIONS-AS-JSON`. It prints `ready` once it listens or could start, then its result as a line of
 * JSON. Its standard input is a socket: a sender starts when a byte arrives, and a receiver of datagrams stops soon
 * after the input has ended. traffic.ts starts it inside the test's namespace.
 */
import { Messages } from './messages';
import { MSG_DONTWAIT } from './native-socket';
import { receiveTcp, sendTcp, type TcpReceiveOptions, type TcpResult, type TcpSendOptions } from './tcp-transfer';
import { receiveUdp, type UdpReceiveOptions, type UdpReceiveResult } from './udp-receiver';
import { sendUdp, type UdpSendOptions, type UdpSendResult } from './udp-sender';

/** The options and the report of each role. */
export interface Roles {
  'udp-send': { options: UdpSendOptions; result: UdpSendResult };
  'udp-receive': { options: UdpReceiveOptions; result: UdpReceiveResult };
  'tcp-send': { options: TcpSendOptions; result: TcpResult };
  'tcp-receive': { options: TcpReceiveOptions; result: TcpResult };
}

const ready = (): void => void process.stdout.write('ready\n');

/** Resolves when the test says so. */
async function go(): Promise<void> {
  ready();
  await new Promise((resolve) => process.stdin.once('data', resolve));
  process.stdin.destroy();
}

/** True once the test has closed our standard input; asked between system calls that block. */
function inputHasEnded(): () => boolean {
  const byte = new Messages(1, 1);
  return () => byte.receive(0, MSG_DONTWAIT) >= 0;
}

async function main([role, json]: string[]): Promise<void> {
  const options: unknown = JSON.parse(json ?? '{}');
  process.stdout.write(`${JSON.stringify(await play(role as keyof Roles, options))}\n`);
}

async function play(role: keyof Roles, options: unknown): Promise<object> {
  switch (role) {
    case 'udp-send':
      await go();
      return sendUdp(options as UdpSendOptions);
    case 'udp-receive':
      return receiveUdp(options as UdpReceiveOptions, ready, inputHasEnded());
    case 'tcp-send':
      await go();
      return sendTcp(options as TcpSendOptions);
    case 'tcp-receive':
      return receiveTcp(options as TcpReceiveOptions, ready);
  }
}

// Other modules import types from here, so the code below runs only in the process that was started for it.
if (require.main === module) void main(process.argv.slice(2));
