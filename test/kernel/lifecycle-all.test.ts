// SPDX-License-Identifier: MIT
/** Several interfaces at once. On a private machine, because `detach --all` also detaches what others have attached. */
import t from 'tap';

import { attachedIn, cannotRun, checkAccounting, cliOk } from '../helpers/cli';
import { onOwnMachine } from '../helpers/machine';
import { okIn, testNetns } from '../helpers/netns';
import { sameAs, snapshot } from '../helpers/snapshot';

const SCRIPT = `
look() {
  find /run /sys/fs/bpf -mindepth 1 ! -path '/run/mount*' ! -name before ! -name after | sort
  grep -c ^nsfs /proc/mounts
  ip -o link
  for n in a b; do ip -n $n -o link; ip -n $n rule; ip -n $n -6 rule; done
}
ip netns add a; ip netns add b
look >/run/before
vnet_bpf attach vnet0 --netns a --addr 10.77.0.1/24 --daemon >/dev/null
vnet_bpf attach vnet0 --netns b --addr fd77::1/64 --daemon >/dev/null
echo "peer namespaces: $(ls /run/vnet-bpf | grep -c netns)"
echo "mounted: $(grep -c ' /run/vnet-bpf/netns ' /proc/mounts)"
vnet_bpf detach vnet0 --netns a >/dev/null
echo "still mounted: $(grep -c ' /run/vnet-bpf/netns ' /proc/mounts)"
nsenter --net=/run/netns/b ping -c 1 -q fd77::1 | grep -o '1 received'
vnet_bpf attach vnet1 --netns a --addr 10.77.1.1/24 --daemon >/dev/null
vnet_bpf detach --all
look >/run/after
diff /run/before /run/after && echo same
`;

t.test('detach --all with two interfaces in two namespaces', { skip: cannotRun }, async (t) => {
  const before = snapshot();
  const { status, stdout, stderr } = onOwnMachine(SCRIPT);
  t.equal(status, 0, stderr);
  t.same(
    stdout.trim().split('\n'),
    ['peer namespaces: 1', 'mounted: 1', 'still mounted: 1', '1 received', 'vnet0 detached', 'vnet1 detached', 'same'],
    'one peer namespace serves both, goes with the last, and nothing else is left',
  );
  await sameAs(t, before, 'nothing is left on the machine around it');
});

const ONLY_ONE_NAMESPACE = `
ip netns add a; ip netns add b
vnet_bpf attach vnet0 vnet1 --netns a --daemon >/dev/null
vnet_bpf attach vnet0 --netns b --daemon >/dev/null
# Made inside, so that its record has no name of a namespace.
ip netns exec a "$NODE" "$MAIN" attach vnet2 --daemon >/dev/null
count() { grep -c "$1" || true; }
echo "stats: $(vnet_bpf stats --netns a | count '^vnet. in a') $(vnet_bpf stats --netns b | count '^vnet')"
echo "log: $(vnet_bpf log --netns a | count loaded) $(vnet_bpf log --netns b | count loaded)"
echo "top: $(timeout 3 "$NODE" "$MAIN" top --netns b --interval 0.5 | grep -c ' in a' || true)"
echo "dry: $(vnet_bpf detach --all --netns b --dry-run | count 'delete the veth')"
for command in 'detach --all' stats log top; do vnet_bpf $command --netns c 2>&1 | head -1; done
vnet_bpf detach --all --netns a
echo left: $(vnet_bpf list --json | grep '"netns"')
vnet_bpf detach --all --netns a && echo 'nothing there is no error'
vnet_bpf detach --all
`;

t.test('--all, stats, log and top with --netns mean that namespace and no other', { skip: cannotRun }, async (t) => {
  const { status, stdout, stderr } = onOwnMachine(ONLY_ONE_NAMESPACE);
  t.equal(status, 0, stderr);
  const none = 'vnet-bpf: network namespace c: there is none of that name';
  t.same(
    stdout.trim().split('\n'),
    [
      'stats: 3 1',
      'log: 3 1',
      'top: 0',
      'dry: 1',
      none,
      none,
      none,
      none,
      'vnet0 detached',
      'vnet1 detached',
      'vnet2 detached',
      'left: "netns": "b",',
      'nothing is attached; vnet-bpf attach vnet0 --netns a does it',
      'nothing there is no error',
      'vnet0 detached',
    ],
    'by whatever way their interfaces came there',
  );
});

t.test('two interfaces in one namespace: the other one goes on looping', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  attachedIn(t, netns, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'], 'vnet0');
  const other = attachedIn(t, netns, ['--addr', '10.78.0.1/24', '--addr', 'fd78::1/64'], 'vnet1');
  cliOk(['detach', 'vnet0', '--netns', netns]);
  const start = other.stats().tx.packets;
  for (const address of ['10.78.0.1', 'fd78::1']) {
    t.match(okIn(netns, 'ping', ['-c', '2', address]), /2 received/, `${address} answers`);
  }
  const stats = await other.atRest();
  t.ok(stats.tx.packets - start >= 8, 'through the loop: the local rules of the other were not put back');
  checkAccounting(t, other, stats);
  cliOk(['detach', 'vnet1', '--netns', netns]);
  await sameAs(t, before, 'nothing is left', netns);
});
