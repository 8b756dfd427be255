// SPDX-License-Identifier: MIT
/** `transfer.js receive ADDRESS PORT FILE` and `transfer.js send ADDRESS PORT FILE`: a file over TCP. */
import * as fs from 'node:fs';
import * as net from 'node:net';
import { pipeline } from 'node:stream/promises';

const [mode, address, port, file] = process.argv.slice(2) as [string, string, string, string];

function receive(): void {
  const server = net.createServer((socket) => {
    server.close();
    void pipeline(socket, fs.createWriteStream(file));
  });
  server.listen(Number(port), address, () => process.stdout.write('listening\n'));
}

if (mode === 'receive') receive();
else void pipeline(fs.createReadStream(file, { highWaterMark: 1 << 20 }), net.connect(Number(port), address));
