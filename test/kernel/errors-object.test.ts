// SPDX-License-Identifier: MIT
/** An attach that fails halfway, when the interface already exists, is undone completely. */
import t from 'tap';

import { refusedObject, temporaryFile, tornObject } from '../helpers/bad-object';
import { cannotRun, cli } from '../helpers/cli';
import { testNetns } from '../helpers/netns';
import { refused } from '../helpers/refusal';
import { sameAs, snapshot } from '../helpers/snapshot';

t.test('BPF objects that cannot be used', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  const args = ['attach', 'vnet0', '--netns', netns, '--addr', '10.77.0.1/24'];
  const garbage = temporaryFile(t, 'garbage.bpf.o', 'this is not an object\n');
  const empty = temporaryFile(t, 'empty.bpf.o', '');
  await refused(t, [
    { args, status: 1, says: /\/nonexistent.*no such file/, env: { VNET_BPF_OBJECT: '/nonexistent' } },
    { args, status: 1, says: /garbage\.bpf\.o/, env: { VNET_BPF_OBJECT: garbage } },
    { args: [...args, '--daemon'], status: 1, says: /empty\.bpf\.o/, env: { VNET_BPF_OBJECT: empty } },
    { args, status: 1, says: /torn\.bpf\.o/, env: { VNET_BPF_OBJECT: tornObject(t) } },
    { args, status: 1, says: /\/etc.*director/i, env: { VNET_BPF_OBJECT: '/etc' } },
    {
      args: [...args, '--daemon', '--json'],
      status: 1,
      says: /program/,
      hints: /--debug/,
      env: { VNET_BPF_OBJECT: refusedObject(t) },
    },
  ]);
  await sameAs(t, before, 'nothing is left of the attempts', netns);
});

t.test('--debug shows what the verifier said', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  const { status, stderr } = cli(['attach', 'vnet0', '--netns', netns, '--debug'], {
    VNET_BPF_OBJECT: refusedObject(t),
  });
  t.equal(status, 1);
  t.match(stderr, /R0 !read_ok|unreachable insn/, 'the log of the verifier');
  await sameAs(t, before, 'nothing is left', netns);
});

t.test('no libbpf', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  const env = { LIBBPF_TS_LIBRARY: '/nonexistent/libbpf.so.1' };
  await refused(t, [
    { args: ['attach', 'vnet0', '--netns', netns], status: 1, says: /libbpf/, hints: /libbpf1/, env },
    { args: ['attach', 'vnet0', '--netns', netns, '--daemon'], status: 1, says: /libbpf/, hints: /libbpf1/, env },
  ]);
  await sameAs(t, before, 'nothing has changed', netns);
});
