// SPDX-License-Identifier: MIT
/** Checks of the kernel: its release, and what it was built with. */
import * as fs from 'node:fs';

import { kernelRelease, LibraryError, probeFeature, type FeatureName } from 'libbpf-ts';

import { cannotCheck, fail, isRoot, ok, warn, type Check } from './check';
import { inUserNamespace } from './privileges';

const MINIMUM = { major: 6, minor: 1 };

function release(): Check {
  const { major, minor, text } = kernelRelease();
  const enough = major > MINIMUM.major || (major === MINIMUM.major && minor >= MINIMUM.minor);
  const minimum = `${MINIMUM.major}.${MINIMUM.minor}`;
  if (enough) return ok('release', text);
  return fail('release', `${text} is older than ${minimum}`, `boot Linux ${minimum} or later`);
}

function btf(): Check {
  const file = '/sys/kernel/btf/vmlinux';
  if (fs.existsSync(file)) return ok('BTF', file);
  return fail('BTF', `no ${file}`, 'boot a kernel with CONFIG_DEBUG_INFO_BTF, as distributions build it');
}

function jit(): Check {
  const file = '/proc/sys/net/core/bpf_jit_enable';
  let value: string;
  try {
    value = fs.readFileSync(file, 'utf8').trim();
  } catch {
    return warn('JIT', `no ${file}`, 'a kernel with CONFIG_BPF_JIT runs the programs several times as fast');
  }
  if (value !== '0') return ok('JIT', 'BPF programs are compiled');
  return warn('JIT', 'BPF programs are interpreted', 'sysctl -w net.core.bpf_jit_enable=1');
}

/** Lockdown for confidentiality forbids BPF programs to read kernel memory, which finding out checksums and GSO needs. */
function lockdown(): Check {
  let text: string;
  try {
    text = fs.readFileSync('/sys/kernel/security/lockdown', 'utf8');
  } catch {
    return ok('lockdown', 'none');
  }
  const mode = /\[(\w+)\]/.exec(text)?.[1] ?? 'none';
  if (mode !== 'confidentiality') return ok('lockdown', mode);
  return fail('lockdown', mode, 'boot with lockdown=integrity or without lockdown');
}

/** Asks the kernel; what to say of the answer is the caller's. */
function probe(title: string, name: FeatureName, judge: (supported: boolean, minimumKernel: string) => Check): Check {
  // The kernel answers a user namespace's root as if it lacked the feature.
  if (!isRoot() || inUserNamespace()) return cannotCheck(title);
  try {
    const { supported, minimumKernel } = probeFeature(name);
    if (supported !== undefined) return judge(supported, minimumKernel);
    return warn(title, 'the kernel gave no clear answer', 'see capabilities below');
  } catch (error) {
    if (error instanceof LibraryError) return warn(title, 'not checked: this needs libbpf', 'see libbpf below');
    throw error;
  }
}

const needed = (title: string, name: FeatureName): Check =>
  probe(title, name, (supported, minimumKernel) =>
    supported ? ok(title, 'supported') : fail(title, 'not supported', `boot Linux ${minimumKernel} or later`),
  );

/** How TC programs are attached: both ways do, tcx is newer and needs no qdisc. */
const attachment = (): Check =>
  probe('attachment', 'tcx', (supported, minimumKernel) =>
    ok('attachment', supported ? 'tcx' : `clsact with cls_bpf; tcx needs Linux ${minimumKernel}`),
  );

export function kernelChecks(): Check[] {
  return [
    release(),
    btf(),
    jit(),
    lockdown(),
    needed('ring buffers', 'ringbuf'),
    needed('mapped arrays', 'mmapable-arrays'),
    attachment(),
  ];
}
