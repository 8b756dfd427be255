// SPDX-License-Identifier: MIT
/** Commands that run at the same time wait for each other and do not undo each other's work. */
import { once } from 'node:events';
import * as path from 'node:path';

import t from 'tap';

import { attachedIn, cannotRun, cliStart } from '../helpers/cli';
import { listed } from '../helpers/controller';
import { delay } from '../helpers/loop';
import { onOwnMachine } from '../helpers/machine';
import { testNetns } from '../helpers/netns';
import { sameAs, snapshot } from '../helpers/snapshot';

t.test('attaching and detaching at once', { skip: cannotRun }, async (t) => {
  const before = snapshot();
  // The first attach creates what all share, and the last detach removes it: each round begins and ends with nothing.
  const { status, stdout, stderr } = onOwnMachine(`
    ip netns add a
    for round in 1 2; do
      for i in 1 2 3; do vnet_bpf attach vnet$i --netns a --addr 10.77.$i.1/24 --daemon >/dev/null & done
      wait
      ip -n a -o link | grep -c vnet
      for i in 1 2 3; do vnet_bpf detach vnet$i --netns a & done
      vnet_bpf stats --netns a >/dev/null 2>&1 || true
      wait
    done
    ip -n a rule | head -n 1
    ls -A /run/vnet-bpf /sys/fs/bpf/vnet-bpf 2>/dev/null || true
  `);
  t.equal(status, 0);
  t.equal(stderr, '', 'nobody complains');
  const lines = stdout.trim().split('\n').sort();
  const detached = [1, 1, 2, 2, 3, 3].map((i) => `vnet${i} detached`);
  t.same(lines, ['0:\tfrom all lookup local', '3', '3', ...detached], 'all came up, all went, and nothing is left');
  await sameAs(t, before, 'nothing is left on the machine around it');
});

t.test('two commands for the same interface: one of them wins', { skip: cannotRun }, async (t) => {
  const { status, stdout, stderr } = onOwnMachine(`
    ip netns add a
    for i in 1 2 3; do vnet_bpf attach vnet0 --netns a --daemon >/dev/null & done
    wait
    vnet_bpf list --json | grep -c '"interface"'
    vnet_bpf detach vnet0 --netns a
  `);
  t.equal(status, 0);
  t.equal((stderr.match(/already/g) ?? []).length, 2, 'the other two are told that it is attached already');
  t.same(stdout.trim().split('\n'), ['1', 'vnet0 detached']);
});

t.test('a program that waits for its turn with one interface answers for another', { skip: cannotRun }, async (t) => {
  const { status, stdout, stderr } = onOwnMachine(`
    ip netns add a
    cat >/run/two.mjs <<EOF
      import { attach } from '${path.resolve('dist/index.js')}';
      await attach('vnet1', { netns: 'a' });
      console.log('one');
      process.stdin.once('data', async () => {
        await attach('vnet2', { netns: 'a' });
        console.log('two');
      });
EOF
    mkfifo /run/in /run/out
    "$NODE" /run/two.mjs </run/in >/run/out & program=$!
    exec 5>/run/in 6</run/out
    read line <&6; echo $line
    exec 4</run/vnet-bpf/lock
    flock 4
    echo now >&5
    sleep 0.5
    timeout 5 "$NODE" "$MAIN" stats vnet1 --netns a >/dev/null && echo answers
    flock -u 4
    read line <&6; echo $line
    kill $program; wait $program || true
  `);
  t.equal(status, 0, stderr);
  t.same(stdout.trim().split('\n'), ['one', 'answers', 'two']);
});

t.test('detach while somebody has the peer namespace open', { skip: cannotRun }, async (t) => {
  const { status, stdout, stderr } = onOwnMachine(`
    ip netns add a
    vnet_bpf attach vnet0 --netns a --daemon >/dev/null
    ls /run/vnet-bpf/lock
    exec 3</run/vnet-bpf/netns
    vnet_bpf detach vnet0 --netns a
    exec 3<&-
    ls -A /run/vnet-bpf 2>/dev/null || true
  `);
  t.equal(status, 0, stderr);
  const [lock, ...rest] = stdout.trim().split('\n');
  t.equal(lock, '/run/vnet-bpf/lock', 'attach has not taken away the lock that protected it');
  t.same(rest, ['vnet0 detached'], 'it goes all the same');
});

t.test('an interface that is being detached has not crashed', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, testNetns(t), ['--addr', '10.77.0.1/24']);
  const detach = cliStart(t, ['detach', nic.iface, '--netns', nic.netns]);
  const seen = new Set<string>();
  for (let entry = listed(nic.netns, nic.iface); entry; entry = listed(nic.netns, nic.iface)) {
    seen.add(entry.state);
    await delay(1);
  }
  await once(detach, 'exit');
  t.ok(seen.has('running') && !seen.has('crashed'), [...seen].join(', '));
});
