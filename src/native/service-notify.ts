// SPDX-License-Identifier: MIT
/**
 * Tells the service manager how things are, as sd_notify(3) does: a datagram to the AF_UNIX socket that
 * NOTIFY_SOCKET names. Node has no such sockets. Without that variable nobody wants to know.
 */
import * as fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { VnetError } from '../errors';
import { clock } from './clock';
import { connectSocket, errnoName, errnoOf, openSocket, sendBytes, SystemError } from './libc';

export const AF_UNIX = 1;
export const SOCK_DGRAM = 2;
/** sizeof(sun_path), of unix(7). */
const PATH_BYTES = 108;
/** How long the manager may leave its socket full. */
const PATIENCE_MS = 5000;

/** A sockaddr_un. A name that begins with `@` is abstract: no file, and known in one network namespace only. */
export function unixAddress(name: string): Uint8Array {
  const abstract = name.startsWith('@');
  // An abstract name is as long as the address says; a path ends with a zero.
  const sunPath = Buffer.from(abstract ? `\0${name.slice(1)}` : `${name}\0`);
  if (!/^[@/]./.test(name) || sunPath.length > PATH_BYTES) {
    throw new VnetError('STATE', `NOTIFY_SOCKET "${name}"`, `is neither an absolute path nor an @name of up to ${PATH_BYTES - 1} bytes`, {
      hint: 'systemd sets it for a unit of Type=notify; elsewhere unset it',
    });
  }
  return Buffer.concat([Uint8Array.of(AF_UNIX, 0), sunPath]);
}

/** Sends lines such as `READY=1`; nothing without NOTIFY_SOCKET. */
export async function notifyService(...lines: string[]): Promise<void> {
  const name = process.env['NOTIFY_SOCKET'];
  if (name === undefined || name === '') return;
  const address = unixAddress(name);
  const fd = openSocket(AF_UNIX, SOCK_DGRAM, 0);
  try {
    connectSocket(fd, address);
    const bytes = Buffer.from(lines.join('\n'));
    let sent = sendBytes(fd, bytes);
    for (const end = clock.now() + PATIENCE_MS; sent === -(errnoOf['EAGAIN'] as number) && clock.now() < end; sent = sendBytes(fd, bytes)) await sleep(20);
    if (sent < 0) throw new SystemError('send', -sent);
  } catch (cause) {
    const why = cause instanceof SystemError ? `${cause.operation}: ${errnoName(cause.errno)}` : String(cause);
    throw new VnetError('SYSCALL', `NOTIFY_SOCKET "${name}"`, why, { hint: 'systemd sets it for a unit of Type=notify; elsewhere unset it', cause });
  } finally {
    fs.closeSync(fd);
  }
}
