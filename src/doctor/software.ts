// SPDX-License-Identifier: MIT
/** Checks of what is installed: the programs and libraries that vnet-bpf uses, the BPF file system, and what killed controllers have left. */
import * as fs from 'node:fs';

import { libbpfVersion, LibraryError } from 'libbpf-ts';

import { objectFile } from '../datapath/datapath';
import { tryCommand } from '../native/command';
import { attempt, fail, ok, type Check } from './check';

function node(): Check {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) return fail('Node.js', `${process.version} is older than 20`, 'install Node.js 20 or later');
  return ok('Node.js', `${process.version} on ${process.arch}`);
}

function libbpf(): Check {
  const mend = 'apt-get install libbpf1, or set LIBBPF_TS_LIBRARY to its path';
  try {
    const version = libbpfVersion();
    if (Number(/(\d+)/.exec(version)?.[1] ?? 0) < 1) return fail('libbpf', `${version} is older than 1.0`, mend);
    return ok('libbpf', version);
  } catch (error) {
    if (error instanceof LibraryError) return fail('libbpf', `cannot load ${error.library}`, mend);
    throw error;
  }
}

/** Looks at addresses, links and rules as JSON, which old or small versions of `ip` do not print. */
function iproute2(): Check {
  const mend = 'apt-get install iproute2';
  return attempt('iproute2', mend, () => {
    const version = tryCommand('ip', ['-V']);
    const { status, stdout } = tryCommand('ip', ['-json', 'rule', 'show']);
    if (status !== 0 || !Array.isArray(JSON.parse(stdout))) {
      return fail('iproute2', 'this ip prints no JSON (BusyBox has a small one of its own)', mend);
    }
    return ok('iproute2', version.stdout.trim().replace(/^ip utility, /, ''));
  });
}

function program(name: string, debianPackage: string): Check {
  const mend = `apt-get install ${debianPackage}`;
  return attempt(name, mend, () => {
    const { status, stdout } = tryCommand(name, ['--version']);
    return status === 0 ? ok(name, stdout.split(/\n| \(/)[0] ?? '') : fail(name, 'does not run', mend);
  });
}

function bpfObject(): Check {
  const file = objectFile();
  const mend = process.env['VNET_BPF_OBJECT'] === undefined ? 'make build compiles it' : 'unset VNET_BPF_OBJECT, or build that file';
  return attempt('BPF object', mend, () => {
    if (!fs.existsSync(file)) return fail('BPF object', `no ${file}`, mend);
    const magic = fs.readFileSync(file).subarray(0, 4).toString('latin1');
    return magic === '\x7fELF' ? ok('BPF object', file) : fail('BPF object', `${file} is not an object file`, mend);
  });
}

export function softwareChecks(): Check[] {
  return [node(), libbpf(), iproute2(), program('nsenter', 'util-linux'), program('mount', 'mount'), bpfObject()];
}
