// SPDX-License-Identifier: MIT
/**
 * Checks of the installation: the programs and libraries that vnet-bpf uses, the BPF file system, and leftovers of
 * killed controllers.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { isBpffs, libbpfVersion, LibraryError } from 'libbpf-ts';

import { objectFile } from '../datapath/programs';
import { commandAbout, commandFor, HINTS, named, VnetError } from '../errors';
import { compilerFile } from '../hooks/lookup';
import { tryCommand } from '../native/command';
import { requireLibpcap } from '../native/libpcap';
import { pinDirectory } from '../state/bpffs';
import { hostPath } from '../state/paths';
import {
  allAttachments,
  type Attachment,
  type BrokenAttachment,
  brokenAttachments,
  conditionOf,
  isControlled,
} from '../state/store';
import { attempt, cannotCheck, type Check, fail, isRoot, ok, warn } from './check';

function node(): Check {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) return fail('Node.js', `${process.version} is older than 20`, 'install Node.js 20 or later');
  return ok('Node.js', `${process.version} on ${process.arch}`);
}

function libbpf(): Check {
  const fix = 'apt-get install libbpf1, or set LIBBPF_TS_LIBRARY to its path';
  try {
    const version = libbpfVersion();
    if (Number(/(\d+)/.exec(version)?.[1] ?? 0) < 1) return fail('libbpf', `${version} is older than 1.0`, fix);
    return ok('libbpf', version);
  } catch (error) {
    if (error instanceof LibraryError) return fail('libbpf', `cannot load ${error.library}`, fix);
    throw error;
  }
}

/** Checks that `ip` prints addresses, links and rules as JSON, which old or small versions do not. */
function iproute2(): Check {
  const fix = 'apt-get install iproute2';
  return attempt('iproute2', fix, () => {
    const version = tryCommand('ip', ['-V']);
    const { status, stdout } = tryCommand('ip', ['-json', 'rule', 'show']);
    if (status !== 0 || !Array.isArray(JSON.parse(stdout))) {
      return fail('iproute2', 'this ip prints no JSON (BusyBox has a small one of its own)', fix);
    }
    return ok('iproute2', version.stdout.trim().replace(/^ip utility, /, ''));
  });
}

function program(name: string, debianPackage: string): Check {
  const fix = `apt-get install ${debianPackage}`;
  return attempt(name, fix, () => {
    const { status, stdout } = tryCommand(name, ['--version']);
    return status === 0 ? ok(name, stdout.split(/\n| \(/)[0] ?? '') : fail(name, 'does not run', fix);
  });
}

function bpfObject(): Check {
  const file = objectFile();
  const fix = process.env['VNET_BPF_OBJECT'] === undefined ? HINTS.object : 'unset VNET_BPF_OBJECT, or build that file';
  return attempt('BPF object', fix, () => {
    if (!fs.existsSync(file)) return fail('BPF object', `no ${file}`, fix);
    const magic = fs.readFileSync(file).subarray(0, 4).toString('latin1');
    return magic === '\x7fELF' ? ok('BPF object', file) : fail('BPF object', `${file} is not an object file`, fix);
  });
}

function libpcap(): Check {
  try {
    requireLibpcap();
    return ok('libpcap', 'available');
  } catch (error) {
    if (!(error instanceof VnetError)) throw error;
    return warn('libpcap', 'cannot be loaded: --filter and rules of faults need it', error.hint ?? '');
  }
}

function typescript(): Check {
  if (compilerFile() !== null) return ok('TypeScript', 'available');
  return warn(
    'TypeScript',
    'the compiler is not installed: hooks can only be JavaScript',
    'install the package typescript with vnet-bpf',
  );
}

export function softwareChecks(): Check[] {
  return [
    node(),
    libbpf(),
    iproute2(),
    program('nsenter', 'util-linux'),
    program('mount', 'mount'),
    bpfObject(),
    libpcap(),
    typescript(),
  ];
}

// The BPF file system, where ring, counters and links are pinned.

const BPFFS = '/sys/fs/bpf';

export function bpffs(): Check {
  const file = hostPath(BPFFS);
  if (!fs.existsSync(file))
    return fail('bpffs', `no directory ${BPFFS}`, 'mount sysfs on /sys; the kernel needs CONFIG_BPF_SYSCALL');
  if (isBpffs(file)) {
    if (mounted()?.readOnly) return fail('bpffs', `${BPFFS} is read-only`, `as root: mount -o remount,rw ${BPFFS}`);
    return ok('bpffs', `mounted on ${BPFFS}`);
  }
  const other = mounted();
  if (other)
    return fail(
      'bpffs',
      `a ${other.type} is mounted on ${BPFFS}`,
      `as root: umount ${BPFFS} && mount -t bpf bpf ${BPFFS}`,
    );
  return ok('bpffs', `not mounted on ${BPFFS}; attach mounts it`);
}

/** The topmost mount on /sys/fs/bpf; null if there is none. */
function mounted(): { type: string; readOnly: boolean } | null {
  const table = hostPath('/') === '/' ? '/proc/self/mounts' : '/proc/1/mounts';
  // device, directory, type, options: see fstab(5).
  const entries = fs
    .readFileSync(table, 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  const entry = entries.reverse().find((fields) => fields[1] === BPFFS);
  return entry ? { type: entry[2] ?? '', readOnly: (entry[3] ?? '').split(',').includes('ro') } : null;
}

// Leftovers of controllers that were killed: attachments, and pins that belong to no attachment.

function crashed(attachment: Attachment): Check {
  const { iface, netns, pid } = attachment;
  return warn(
    'leftovers',
    `the controller of ${named(iface, netns.name)}, process ${pid}, has ended without detaching`,
    `${commandAbout('attach', attachment)} takes over, ${commandAbout('detach', attachment)} removes it`,
  );
}

const damaged = ({ id, why }: BrokenAttachment): Check =>
  warn('leftovers', why, `vnet-bpf list tells which interface that is, ${commandFor('detach', id, null)} removes it`);

function strayPins(known: readonly (Attachment | BrokenAttachment)[]): Check[] {
  const pins = path.dirname(pinDirectory('x'));
  if (!fs.existsSync(pins)) return [];
  const ids = new Set(known.map(({ id }) => id));
  return (
    fs
      .readdirSync(pins)
      // Of a record that is being written just now, only the lock tells.
      .filter((name) => !ids.has(name) && !isControlled({ id: name }))
      .map((name) =>
        warn('leftovers', `BPF pins that belong to no attachment: ${name}`, `as root: rm -r ${path.join(pins, name)}`),
      )
  );
}

export function leftoverChecks(): Check[] {
  if (!isRoot()) return [cannotCheck('leftovers')];
  let running = 0;
  const found: Check[] = [];
  const state = attempt('attachments', 'the error says which file; vnet-bpf detach --all removes the rest', () => {
    const all = allAttachments();
    for (const attachment of all) {
      const condition = conditionOf(attachment);
      if (condition === 'running') running++;
      if (condition === 'crashed') found.push(crashed(attachment));
    }
    const broken = brokenAttachments();
    found.push(...broken.map(damaged));
    const left = found.length;
    found.push(...strayPins([...all, ...broken]));
    if (left > 0) return ok('attachments', `${running} running, ${left} crashed or damaged`);
    return ok('attachments', running === 0 ? 'nothing is attached' : `${running} running`);
  });
  return [state, ...(found.length > 0 || state.status !== 'ok' ? found : [ok('leftovers', 'none')])];
}
