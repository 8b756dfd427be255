// SPDX-License-Identifier: MIT
import { existsSync, readFileSync } from 'node:fs';
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
