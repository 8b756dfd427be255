// SPDX-License-Identifier: MIT
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  Btf,
  featureNames,
  kernelIsAtLeast,
  libbpfVersion,
  probeFeatures,
  requireFeature,
  type FeatureName,
} from '../src/index';
import { skipUnlessRoot } from './helpers/machine';

/** How a script loads the package: through ts-node, or compiled as this file is. */
const load = `const load = () => {
  ${__filename.endsWith('.ts') ? "require('ts-node/register/transpile-only');" : ''}
  return require(${JSON.stringify(join(__dirname, '..', 'src', 'index'))});
};`;

/** Not a matter of the release. */
const configured: readonly FeatureName[] = ['jit', 'btf-vmlinux', 'trampolines'];

t.test('features agree with the release where it is new enough', { skip: skipUnlessRoot }, async (t) => {
  const features = probeFeatures();
  t.same(
    features.map(({ name }) => name),
    featureNames,
  );
  for (const { name, supported, minimumKernel } of features) {
    // The kernel shows the switch of the compiler in the first network namespace alone.
    const isShown = name !== 'jit' || existsSync('/proc/sys/net/core/bpf_jit_enable');
    t.equal(supported !== undefined, isShown, `${name} is ${isShown ? 'conclusive' : 'not to be seen here'}`);
    // Distributions carry features back, so an older release proves nothing.
    if (kernelIsAtLeast(minimumKernel) && !configured.includes(name)) t.equal(supported, true, name);
  }
  t.match(libbpfVersion(), /^v\d+\.\d+/);
  requireFeature('ringbuf');
});

t.test("the kernel's own BTF", { skip: skipUnlessRoot }, async (t) => {
  const btf = new Btf(readFileSync('/sys/kernel/btf/vmlinux'), 'vmlinux');
  t.ok(btf.typeCount > 10_000);
  const skb = btf.struct('sk_buff');
  t.ok(skb.size > 100);
  t.ok(skb.members.length > 5);
});

t.test('a missing library is a typed error', async (t) => {
  const script = `${load}
    const { libbpfVersion } = load();
    try { libbpfVersion(); } catch (error) { console.log(error.name, error.code, error.message); }
    try { libbpfVersion(); } catch (error) { console.log(error.code); }`;
  const env = { ...process.env, LIBBPF_TS_LIBRARY: '/nonexistent/libbpf.so', NODE_OPTIONS: '' };
  const output = execFileSync(process.execPath, ['-e', script], { env, encoding: 'utf8', cwd: __dirname });
  t.match(output, /^LibraryError LIBBPF_MISSING cannot load \/nonexistent\/libbpf\.so .*libbpf1.*\nLIBBPF_MISSING\n$/s);
});

t.test('a missing capability is named', { skip: skipUnlessRoot }, async (t) => {
  const script = `${load}
    const { BpfMap } = load();
    try {
      BpfMap.create({ type: 1, keySize: 4, valueSize: 4, maxEntries: 1 });
      console.log('created');
    } catch (error) { console.log(error.code, error.errnoName, error.message); }`;
  const drop = ['--bounding-set', '-bpf,-sys_admin', '--inh-caps', '-bpf,-sys_admin', process.execPath, '-e', script];
  const output = execFileSync('setpriv', drop, {
    encoding: 'utf8',
    cwd: __dirname,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const unprivileged = readFileSync('/proc/sys/kernel/unprivileged_bpf_disabled', 'latin1').trim();
  // A hash needs CAP_BPF on every kernel; where unprivileged bpf(2) is off, so does everything else.
  if (output.startsWith('created')) t.equal(unprivileged, '0');
  else t.match(output, /^BPF_PERMISSION EPERM .*lacks CAP_BPF/);
});
