// SPDX-License-Identifier: MIT
/** Checks of the kernel: its release and how it was built, the features that the loop uses, its networking, and what this process may do. */
import * as fs from 'node:fs';

import { kernelIsAtLeast, kernelRelease } from 'libbpf-ts';

import { fail, ok, warn, type Check } from './check';

/** The oldest release that the tests run on; what is really needed is in ../kernel-features.ts. */
const TESTED = '6.1';

function release(): Check {
  const { text } = kernelRelease();
  if (kernelIsAtLeast(TESTED)) return ok('release', text);
  return warn('release', `${text} is older than ${TESTED}: not tested`, `boot Linux ${TESTED} or later`);
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

export function kernelChecks(): Check[] {
  return [release(), btf(), jit(), lockdown()];
}
