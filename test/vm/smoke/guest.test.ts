// SPDX-License-Identifier: MIT
// Proves that a guest is fit for the kernel tests: links, queueing, traffic, native calls and BPF maps.
import { execFileSync } from 'node:child_process';
import { readFileSync, statfsSync } from 'node:fs';
import { release } from 'node:os';
import t from 'tap';

type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
const koffi = require('koffi') as Koffi;

const sh = (line: string) => execFileSync('/usr/bin/bash', ['-ec', line], { encoding: 'utf8' });

t.test('the kernel is the one that was asked for', async (t) => {
  t.comment(sh('uname -srv').trim());
  const wanted = process.env['VNET_BPF_VM'] ?? '';
  t.ok(wanted === 'newest' || release().startsWith(`${wanted}.`), `${release()} is ${wanted}`);
});

t.test('nothing is there that nobody asked for', async (t) => {
  const links = sh('ip -o link')
    .trim()
    .split('\n')
    .map((line) => line.split(': ')[1]);
  t.strictSame(links, ['lo']);
});

t.test('a veth pair across network namespaces carries pings through tbf', async (t) => {
  t.teardown(() => sh('ip netns del smoke'));
  sh(`ip netns add smoke
    ip link add s0 type veth peer name s1 netns smoke
    ip addr add 10.99.0.1/24 dev s0; ip link set s0 up
    ip -n smoke addr add 10.99.0.2/24 dev s1; ip -n smoke link set s1 up
    tc qdisc add dev s0 root tbf rate 10mbit burst 70k limit 1m`);
  t.match(sh('ping -c 3 -i 0.2 10.99.0.2'), / 3 received/);
  t.match(sh('tc -s qdisc show dev s0'), /qdisc tbf/);
});

t.test('the link types and qdiscs that the tests use can be made', async (t) => {
  t.teardown(() => sh('ip link del d0'));
  sh('ip link add d0 type dummy; ip link set d0 up; ip link add link d0 name d0.7 type vlan id 7');
  for (const [where, kind] of [
    ['root', 'tbf rate 1mbit burst 70k limit 1m'],
    ['root', 'fq'],
    ['root', 'netem delay 1ms'],
    ['clsact', ''],
  ]) {
    t.doesNotThrow(() => sh(`tc qdisc add dev d0 ${where} ${kind}; tc qdisc del dev d0 ${where}`), `${where} ${kind}`);
  }
});

t.test('koffi calls libbpf', async (t) => {
  const libbpf = koffi.load('libbpf.so.1');
  t.equal(libbpf.func('uint32_t libbpf_major_version()')(), 1);
  const create = libbpf.func(
    'int bpf_map_create(int type, const char *name, uint32_t key, uint32_t value, uint32_t max, const void *opts)',
  );
  const ringBuffer = 27;
  t.ok((create(ringBuffer, 'smoke', 0, 0, 4096, null) as number) > 2, 'a ring buffer map can be made');
});

t.test('file systems and BTF are in place', async (t) => {
  t.equal(statfsSync('/sys/fs/bpf').type, 0xcafe4a11);
  t.ok(readFileSync('/sys/kernel/btf/vmlinux').length > 1 << 20);
  t.match(sh('cat /sys/fs/cgroup/cgroup.controllers'), /memory/);
});
