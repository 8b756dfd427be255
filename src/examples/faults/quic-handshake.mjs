// SPDX-License-Identifier: MIT
// Fetches a page over HTTP/3, with ngtcp2's client and server. One client gives the handshake 0.8 s, which is less than
// QUIC waits before it sends its first datagram again (1 s: RFC 9002, 6.2.2); the other gives it 10 s.
// Needs gtlsclient and gtlsserver (Debian: ngtcp2-client, ngtcp2-server), and openssl.
// node quic-handshake.mjs careless|careful
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

const HOST = '10.77.0.1';
const PORT = '4433';
const LIMITS = { careless: '800ms', careful: '10s' };

const directory = mkdtempSync(`${tmpdir()}/quic-`);
process.chdir(directory);

/** Resolves when something listens on the port. */
async function listening() {
  const hexadecimal = Number(PORT).toString(16).toUpperCase();
  while (!readFileSync('/proc/self/net/udp', 'utf8').includes(`:${hexadecimal} `)) await sleep(10);
}

function certificate() {
  const request = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=quic.example';
  const files = ['-keyout', 'key.pem', '-out', 'certificate.pem'];
  execFileSync('openssl', [...request.split(' '), ...files], { stdio: 'ignore' });
}

async function fetchPage(limit) {
  const options = ['--quiet', '--exit-on-first-stream-close', '--download=.', `--handshake-timeout=${limit}`];
  const client = spawn('gtlsclient', [...options, HOST, PORT, `https://${HOST}/page`], { stdio: 'ignore' });
  await new Promise((resolve) => client.on('close', resolve)); // its exit code is always 0
  return existsSync('page') ? readFileSync('page', 'utf8') : null;
}

let server;
try {
  certificate();
  mkdirSync('pages');
  writeFileSync('pages/page', 'a page over HTTP/3');
  const options = ['--quiet', '--htdocs=pages', HOST, PORT, 'key.pem', 'certificate.pem'];
  server = spawn('gtlsserver', options, { stdio: 'ignore' });
  await listening();
  const page = await fetchPage(LIMITS[process.argv[2]]);
  if (page === null) console.error('the handshake has not ended in time');
  else console.log(page);
  process.exitCode = page === null ? 1 : 0;
} finally {
  server?.kill();
  rmSync(directory, { recursive: true });
}
