// SPDX-License-Identifier: MIT
// The project as its users get it: packed and installed by npm on the host, and laid down in the guest below
// /usr/local, where `npm i -g` puts it. npm is asked only when something that is packed has changed.
import { existsSync, lstatSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import path from 'node:path';
import { installArguments, npmEnvironment, packCommands } from '../helpers/npm';
import { run } from './command';
import { CpioWriter } from './cpio';
import { cached, fingerprint } from './parts';
import { cache, repository } from './paths';

/** All that npm packs, or goes by when it installs. */
const sources = [
  'package.json',
  'package-lock.json',
  'LICENSE',
  'src/setup/pack.sh',
  'dist',
  'bpf',
  'docs',
  ...['package.json', 'dist', 'examples'].map((name) => `src/libbpf-ts/${name}`),
];

export function installedPart(): string {
  const files = sources
    .map((name) => path.join(repository, name))
    .filter(existsSync)
    .flatMap(walk)
    .sort();
  return cached('installed', fingerprint([...files, process.execPath, __filename]), (file) => {
    const scratch = mkdtempSync(path.join(cache('images'), 'npm-'));
    try {
      const inRepository = (program: string, args: string[]): string =>
        run(program, args, { cwd: repository, env: npmEnvironment() });
      for (const [program, args] of packCommands(scratch)) inRepository(program, args);
      const tarballs = readdirSync(scratch).map((name) => path.join(scratch, name));
      const prefix = path.join(scratch, 'prefix');
      inRepository('npm', installArguments(prefix, ...tarballs));
      write(prefix, file);
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });
}

function write(prefix: string, file: string): void {
  const writer = new CpioWriter(file);
  for (const name of walk(prefix)) {
    const place = path.join('usr/local', path.relative(prefix, name));
    const status = lstatSync(name);
    if (status.isSymbolicLink()) writer.link(place, readlinkSync(name));
    else writer.file(place, readFileSync(name), status.mode & 0o777);
  }
  writer.close();
}

/** Files and links: the name itself if it is one, or else all below it. */
function walk(name: string): string[] {
  if (!lstatSync(name).isDirectory()) return [name];
  return readdirSync(name).flatMap((entry) => walk(path.join(name, entry)));
}
