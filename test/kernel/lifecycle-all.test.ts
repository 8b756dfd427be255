// SPDX-License-Identifier: MIT
/**
 * Several interfaces at once. On a machine of its own, because `detach --all` takes what others
 * have attached, too.
 */
import t from 'tap';

import { attachedIn, cannotRun, checkLaw, cliOk } from '../helpers/cli';
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
echo "hidden: $(ls /run/vnet-bpf | grep -c netns)"
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
    ['hidden: 1', 'mounted: 1', 'still mounted: 1', '1 received', 'vnet0 detached', 'vnet1 detached', 'same'],
    'one hidden namespace serves both, goes with the last, and nothing else is left',
  );
  await sameAs(t, before, 'nothing is left on the machine around it');
});

t.test('two interfaces in one namespace: the other one goes on looping', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const before = snapshot(netns);
  attachedIn(t, netns, ['--addr', '10.77.0.1/24', '--addr', 'fd77::1/64'], 'vnet0');
  const other = attachedIn(t, netns, ['--addr', '10.78.0.1/24', '--addr', 'fd78::1/64'], 'vnet1');
  cliOk(['detach', 'vnet0', '--netns', netns]);
  const start = other.stats().tx.packets;
  for (const address of ['10.78.0.1', 'fd78::1']) {
    t.match(okIn(netns, 'ping', ['-c', '2', '-i', '0.2', address]), /2 received/, `${address} answers`);
  }
  const stats = await other.atRest();
  t.ok(stats.tx.packets - start >= 8, 'through the loop: the local rules of the other were not put back');
  checkLaw(t, other, stats);
  cliOk(['detach', 'vnet1', '--netns', netns]);
  await sameAs(t, before, 'nothing is left', netns);
});
