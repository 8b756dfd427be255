// SPDX-License-Identifier: MIT
/** The service manager's end of sd_notify(3): an AF_UNIX datagram socket with a file name or an abstract name. */
import * as fs from 'node:fs';

import { bindSocket, openSocket, receiveBytes } from '../../src/native/libc';
import { AF_UNIX, SOCK_DGRAM, unixAddress } from '../../src/native/sockets';

export class NotifySocket implements Disposable {
  private constructor(
    readonly name: string,
    private fd: number,
  ) {}

  static bind(name: string): NotifySocket {
    const socket = new NotifySocket(name, openSocket(AF_UNIX, SOCK_DGRAM, 0));
    bindSocket(socket.fd, unixAddress(name));
    return socket;
  }

  /** The messages that have come since the last call. */
  received(): string[] {
    const buffer = Buffer.alloc(4096);
    const messages: string[] = [];
    for (let bytes = receiveBytes(this.fd, buffer); bytes >= 0; bytes = receiveBytes(this.fd, buffer))
      messages.push(buffer.toString('utf8', 0, bytes));
    return messages;
  }

  close(): void {
    if (this.fd < 0) return;
    fs.closeSync(this.fd);
    this.fd = -1;
    if (this.name.startsWith('/')) fs.rmSync(this.name, { force: true });
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
