// SPDX-License-Identifier: MIT
// The host's systemd, for a guest in which it is the first process: the manager, systemctl, the targets that every
// service is ordered by, and one service, which runs the script of the boot. No journal, no udev, no dbus: what
// services say goes to the console.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { CpioWriter } from './cpio';
import { canonicalPath, sharedLibraries, which } from './host-files';
import { cached, fingerprint } from './parts';
import { repository } from './paths';

const home = '/usr/lib/systemd';

const targets = [
  'sysinit',
  'basic',
  'sockets',
  'timers',
  'paths',
  'slices',
  'local-fs',
  'swap',
  'network-pre',
  'network',
  'shutdown',
  'umount',
  'multi-user',
].map((name) => `${home}/system/${name}.target`);

const script = `[Unit]
DefaultDependencies=no
Requires=sysinit.target
After=sysinit.target

[Service]
Type=oneshot
ExecStart=/run-script
TimeoutStartSec=infinity
`;

const manager = `[Manager]
DefaultStandardOutput=kmsg
DefaultStandardError=kmsg
LogTarget=kmsg
LogLevel=warning
ShowStatus=no
`;

export function systemdPart(): string {
  const systemctl = which('systemctl');
  if (systemctl === undefined || !existsSync(`${home}/systemd`))
    throw new Error('systemd is not installed: apt-get install systemd');
  // Later versions start services through a program of their own.
  const programs = [`${home}/systemd`, `${home}/systemd-executor`, systemctl].filter(existsSync);
  const binaries = [...new Set([...programs, ...programs.flatMap(sharedLibraries)].map(canonicalPath))].sort();
  const unit = path.join(repository, 'docs/systemd/vnet-bpf@.service');
  return cached('systemd', fingerprint([...binaries, ...targets, unit, __filename]), (file) => {
    const writer = new CpioWriter(file);
    for (const name of binaries) writer.file(name, readFileSync(name), 0o755);
    for (const name of targets) writer.file(name, readFileSync(name));
    writer.file('etc/systemd/system/script.service', script);
    writer.file('etc/systemd/system.conf', manager);
    writer.file('etc/machine-id', `${'0'.repeat(31)}1\n`);
    writer.file('etc/systemd/system/vnet-bpf@.service', readFileSync(unit));
    writer.close();
  });
}
