// SPDX-License-Identifier: MIT
/**
 * Killed (SIGKILL) between two steps of attach or detach: the next command repairs it. An attach that fails at a step
 * removes everything that it has made. On a private machine, where "nothing is left" is easy to check.
 */
import t from 'tap';

import { cannotRun, SLOW } from '../../helpers/cli';
import { onOwnMachine } from '../../helpers/machine';
import { sameAs, snapshot } from '../../helpers/snapshot';

/** The suite tests some of the steps, and with VNET_BPF_TEST_ALL_STEPS=1 all of them. */
const TAKE_EVERY = process.env['VNET_BPF_TEST_ALL_STEPS'] === '1' ? 1 : 3;

const PREPARE = `
ip netns add a
look() {
  find /run /sys/fs/bpf -mindepth 1 ! -path '/run/mount*' ! -name before ! -name after | sort
  grep -c ^nsfs /proc/mounts
  ip -n a -o link; ip -n a rule; ip -n a -6 rule; ip -n a route show table all
}
attach="vnet0 --netns a --addr 10.77.0.1/24 --addr fd77::1/64"
killed_at() { step=$1; shift; env VNET_BPF_TEST_KILL_AT=$step "$NODE" "$MAIN" "$@" >/dev/null 2>&1 && echo "$step: was not killed"; true; }
compare() { look >/run/after; diff /run/before /run/after >/dev/null || { echo "$1:"; diff /run/before /run/after; } || true; }
look >/run/before
`;

/** An attach that is killed once it loops: a script that names the steps of attach. */
const ATTACHED = `timeout -s KILL 60 "$NODE" "$MAIN" attach $attach >/run/said & for i in $(seq ${300 * SLOW}); do grep -q loops /run/said && break; sleep 0.1; done`;

/** Attached, but with a dead controller, so that the next command itself detaches. */
const CRASHED = `vnet_bpf attach $attach --daemon >/dev/null 2>&1
      kill -KILL $(sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p' /run/vnet-bpf/*/state.json)
      sleep 0.2`;

/** The steps that a command reports. */
function stepsOf(script: string): string[] {
  const { stderr } = onOwnMachine(PREPARE + script, { VNET_BPF_TEST_STEPS: '1' });
  const steps = [...stderr.matchAll(/^step (\S+)$/gm)].map((match) => match[1] as string);
  return [...new Set(steps)].filter((_, i) => i % TAKE_EVERY === TAKE_EVERY - 1);
}

t.test('attach killed at each step', { skip: cannotRun }, async (t) => {
  const around = snapshot();
  const steps = stepsOf(ATTACHED);
  t.ok(steps.length >= Math.floor(8 / TAKE_EVERY), `steps: ${steps.join(', ')}`);
  const { stdout, stderr } = onOwnMachine(`${PREPARE}
    for step in ${steps.join(' ')}; do
      killed_at $step attach $attach
      vnet_bpf detach vnet0 --netns a >/dev/null 2>&1 || true
      compare "$step, then detach"
    done
  `);
  t.equal(stdout, '', 'detach leaves nothing of it');
  t.equal(stderr, '');
  await sameAs(t, around, 'nothing is left on the machine around it');
});

t.test('attach that fails at each step', { skip: cannotRun }, async (t) => {
  const { stdout, stderr } = onOwnMachine(`${PREPARE}
    for step in ${stepsOf(ATTACHED).join(' ')}; do
      timeout 60 env VNET_BPF_TEST_FAIL_AT=$step "$NODE" "$MAIN" attach $attach >/run/said 2>&1 && echo "$step: attached"
      grep -q "^vnet-bpf: step $step: a test asked" /run/said || cat /run/said
      rm /run/said
      compare "$step"
    done
  `);
  t.equal(stdout, '', 'it tells why, and leaves nothing');
  t.equal(stderr, '');
});

t.test('attach killed, then attached again', { skip: cannotRun }, async (t) => {
  const { stdout, stderr } = onOwnMachine(`${PREPARE}
    for step in planned datapath running; do
      killed_at $step attach $attach
      vnet_bpf attach $attach --daemon >/dev/null
      nsenter --net=/run/netns/a ping -c 1 -q fd77::1 | grep -q '1 received' || echo "$step: it does not loop"
      vnet_bpf detach vnet0 --netns a >/dev/null
      compare "$step, attach, detach"
    done
  `);
  t.equal(stdout, '', 'the second attach adopts it or clears it away, and loops');
  t.equal(stderr, '');
});

t.test('detach killed at each step', { skip: cannotRun }, async (t) => {
  const around = snapshot();
  const steps = stepsOf(`${CRASHED}\nvnet_bpf detach vnet0 --netns a >/dev/null`);
  t.ok(steps.length >= Math.floor(5 / TAKE_EVERY), `steps: ${steps.join(', ')}`);
  const { stdout, stderr } = onOwnMachine(`${PREPARE}
    for step in ${steps.join(' ')}; do
      ${CRASHED}
      killed_at $step detach vnet0 --netns a
      vnet_bpf detach vnet0 --netns a >/dev/null 2>&1 || true
      compare "$step, then detach again"
    done
  `);
  t.equal(stdout, '', 'the next detach finishes it');
  t.equal(stderr, '');
  await sameAs(t, around, 'nothing is left on the machine around it');
});
