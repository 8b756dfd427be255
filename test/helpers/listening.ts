// SPDX-License-Identifier: MIT
/** Which TCP ports a process listens on. */
import * as fs from 'node:fs';

/** State of a socket in /proc/net/tcp. */
const LISTEN = '0A';

function socketsOf(pid: number): Set<string> {
  const links = fs.readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return ''; // closed meanwhile
    }
  });
  return new Set(links.map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? ''));
}

/** The ports of a process; empty also if it has ended. */
export function portsOf(pid: number): number[] {
  try {
    const own = socketsOf(pid);
    const lines = ['tcp', 'tcp6'].flatMap((table) =>
      fs.readFileSync(`/proc/${pid}/net/${table}`, 'utf8').trim().split('\n').slice(1),
    );
    return lines
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === LISTEN && own.has(fields[9] ?? ''))
      .map((fields) => parseInt(fields[1]?.split(':')[1] ?? '', 16));
  } catch {
    return [];
  }
}
