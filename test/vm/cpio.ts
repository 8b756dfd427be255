// SPDX-License-Identifier: MIT
// Writer for the "newc" cpio format, the one the kernel unpacks as initramfs
// (Documentation/driver-api/early-userspace/buffer-format.rst). Not compressed: unpacking would cost the
// emulated CPU more than reading saves.
import { closeSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';

const kinds = { file: 0o100000, directory: 0o040000, link: 0o120000, device: 0o020000 };

export class CpioWriter {
  readonly #fd: number;
  readonly #directories = new Set<string>();
  #inode = 0;

  constructor(file: string) {
    this.#fd = openSync(file, 'w');
  }

  file(name: string, content: Uint8Array | string, mode = 0o644): void {
    const data = typeof content === 'string' ? Buffer.from(content) : content;
    this.#parents(name);
    this.#entry(name, kinds.file | mode, data);
  }

  link(name: string, target: string): void {
    this.#parents(name);
    this.#entry(name, kinds.link | 0o777, Buffer.from(target));
  }

  /** A character device: needs no right on the host, it is only a line in the archive. */
  device(name: string, major: number, minor: number, mode = 0o600): void {
    this.#parents(name);
    this.#entry(name, kinds.device | mode, Buffer.alloc(0), major, minor);
  }

  directory(name: string, mode = 0o755): void {
    const clean = name.replace(/^\/+/, '');
    if (clean === '' || this.#directories.has(clean)) return;
    this.#directories.add(clean);
    this.#parents(clean);
    this.#entry(clean, kinds.directory | mode, Buffer.alloc(0));
  }

  close(): void {
    this.#inode = -1;
    this.#entry('TRAILER!!!', 0, Buffer.alloc(0));
    closeSync(this.#fd);
  }

  /** The kernel creates no missing directories: they must come before what is in them. */
  #parents(name: string): void {
    const parent = path.posix.dirname(name.replace(/^\/+/, ''));
    if (parent !== '.') this.directory(parent);
  }

  #entry(name: string, mode: number, data: Uint8Array, major = 0, minor = 0): void {
    const clean = name.replace(/^\/+/, '');
    const nameBytes = Buffer.from(`${clean}\0`);
    const links = (mode & 0o170000) === kinds.directory ? 2 : 1;
    const fields = [++this.#inode, mode, 0, 0, links, 0, data.length, 0, 0, major, minor, nameBytes.length, 0];
    const header = Buffer.from('070701' + fields.map((value) => value.toString(16).padStart(8, '0')).join(''));
    // Header with name, and data, are each padded to four bytes.
    this.#write(pad(Buffer.concat([header, nameBytes])));
    this.#write(data);
    this.#write(Buffer.alloc(-data.length & 3));
  }

  #write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
  }
}

function pad(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
