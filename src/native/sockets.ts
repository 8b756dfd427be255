// SPDX-License-Identifier: MIT
/**
 * Sockets that Node.js lacks: for whole frames of one interface (packet(7)), and for datagrams to the service manager.
 */
import * as fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { VnetError } from '../errors';
import { clock } from './clock';
import { bindSocket, connectSocket, errnoName, errnoOf, openSocket, sendBytes, SystemError } from './libc';

const AF_PACKET = 17;
const SOCK_RAW = 3;
export const SOL_PACKET = 263;
export const PACKET_VNET_HDR = 15;
const SOCKADDR_LL_BYTES = 20;

/**
 * Opens a packet socket that is not bound to an interface, and of no protocol until then, so that it receives no frames
 * of others. Needs CAP_NET_RAW; the caller closes it. PacketSocket (src/datapath/packet-socket.ts) is the poller's.
 */
export const openLinkSocket = (): number => openSocket(AF_PACKET, SOCK_RAW, 0);

/**
 * Binds it to an interface of the namespace in which it was opened. With protocol 0 it only sends; with ETH_P_ALL it
 * receives, too.
 */
export function bindToLink(fd: number, ifindex: number, protocol = 0): void {
  const address = new DataView(new ArrayBuffer(SOCKADDR_LL_BYTES));
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, protocol); // in network byte order
  address.setInt32(4, ifindex, true);
  bindSocket(fd, new Uint8Array(address.buffer));
}

// Notifying the service manager, as sd_notify(3) does: a datagram to the AF_UNIX socket that NOTIFY_SOCKET names. Node
// has no such sockets. Without that variable there is nothing to notify.

export const AF_UNIX = 1;
export const SOCK_DGRAM = 2;
/** sizeof(sun_path), of unix(7). */
const PATH_BYTES = 108;
/** How long the manager may leave its socket full, in milliseconds. */
const PATIENCE_MS = 5000;

/**
 * A sockaddr_un. A name that begins with `@` is abstract: it is no file, and known in one network namespace only.
 * Throws STATE.
 */
export function unixAddress(name: string): Uint8Array {
  const abstract = name.startsWith('@');
  // An abstract name is as long as the address says; a path ends with a zero.
  const sunPath = Buffer.from(abstract ? `\0${name.slice(1)}` : `${name}\0`);
  if (!/^[@/]./.test(name) || sunPath.length > PATH_BYTES) {
    throw new VnetError(
      'STATE',
      `NOTIFY_SOCKET "${name}"`,
      `is neither an absolute path nor an @name of up to ${PATH_BYTES - 1} bytes`,
      {
        hint: 'systemd sets it for a unit of Type=notify; elsewhere unset it',
      },
    );
  }
  return Buffer.concat([Uint8Array.of(AF_UNIX, 0), sunPath]);
}

/** Sends lines such as `READY=1`; does nothing without NOTIFY_SOCKET. Throws STATE or SYSCALL. */
export async function notifyService(...lines: string[]): Promise<void> {
  const name = process.env['NOTIFY_SOCKET'];
  if (name === undefined || name === '') return;
  const address = unixAddress(name);
  const fd = openSocket(AF_UNIX, SOCK_DGRAM, 0);
  try {
    connectSocket(fd, address);
    const bytes = Buffer.from(lines.join('\n'));
    let sent = sendBytes(fd, bytes);
    for (
      const end = clock.now() + PATIENCE_MS;
      sent === -(errnoOf['EAGAIN'] as number) && clock.now() < end;
      sent = sendBytes(fd, bytes)
    )
      await sleep(20);
    if (sent < 0) throw new SystemError('send', -sent);
  } catch (cause) {
    const why = cause instanceof SystemError ? `${cause.operation}: ${errnoName(cause.errno)}` : String(cause);
    throw new VnetError('SYSCALL', `NOTIFY_SOCKET "${name}"`, why, {
      hint: 'systemd sets it for a unit of Type=notify; elsewhere unset it',
      cause,
    });
  } finally {
    fs.closeSync(fd);
  }
}
