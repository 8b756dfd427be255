// SPDX-License-Identifier: MIT
/**
 * docs/ci.md: the steps of the workflow and the containers, as written, with stand-ins for programs that the test
 * cannot have.
 */
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { cannotRun, MAIN, ROOT, SLOW } from '../../helpers/cli';
import { blocksOf } from '../../helpers/document';
import type { Result } from '../../helpers/netns';
import { PrivateMachine } from '../../helpers/private-machine';
import { withoutTools } from '../../helpers/traffic';

t.setTimeout(120_000 * SLOW);

const blocks = blocksOf(path.join(ROOT, 'docs', 'ci.md'));

/**
 * The command in the PATH, and stand-ins for sudo, apt-get and npm: an installation does nothing, and the tests are a
 * ping by a user other than root.
 */
const STAND_INS = `
mkdir -p /run/bin && cd /run
make_program() { printf '#!/bin/bash\\n%s\\n' "$2" >/run/bin/$1; chmod +x /run/bin/$1; }
make_program vnet-bpf "exec '$NODE' '$MAIN' \\"\\$@\\""
make_program sudo 'exec "$@"'
make_program apt-get 'true'
make_program npm '[ "$1" = test ] || exit 0; echo "tests run as $(id -u)"; ping -c 1 10.77.0.1'
PATH=/run/bin:$PATH
set -e
`;

/**
 * A container as far as it matters here: capabilities beyond Docker's own, and /proc/sys read-only unless the options
 * say otherwise.
 */
const DOCKER = `
docker() {
  [ "$1" = run ] || return 0
  local caps=--bounding-set=-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+setgid,+setuid,+setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,+audit_write sys=ro
  shift
  while [ $# -gt 0 ]; do
    case "$1" in
      --cap-add) shift; caps=$caps,+\${1,,} ;;
      --privileged) caps='' sys=rw ;;
      --security-opt) shift; [ "$1" != systempaths=unconfined ] || sys=rw ;;
      --rm) ;;
      *) break ;;
    esac
    shift
  done
  shift
  unshare --mount sh -c 'mount --bind /proc/sys /proc/sys; mount -o remount,bind,$0 /proc/sys; umount /sys/fs/bpf; exec "$@"' $sys setpriv $caps \${caps/bounding-set/inh-caps} --clear-groups "$@"
}
`;

async function bash(t: Test, script: string): Promise<Result & { residue: string[] }> {
  const machine = await PrivateMachine.start(t);
  const result = machine.run('bash', ['-c', STAND_INS + script], { NODE: process.execPath, MAIN });
  return { ...result, residue: machine.residue().filter((line) => !['/run/netns', '/run/bin'].includes(line)) };
}

const needs = cannotRun || withoutTools('bash', 'setpriv', 'unshare', 'ping');

t.test('the steps of the workflow', { skip: needs }, async (t) => {
  const [workflow] = blocks.filter(({ language }) => language === 'yaml');
  const steps = [...(workflow?.text ?? '').matchAll(/^ +run: \|\n((?: {10}.*\n)+)/gm)].map(([, step = '']) =>
    step.replace(/^ {10}/gm, ''),
  );
  t.equal(steps.length, 2);
  const { status, stdout, stderr, residue } = await bash(t, `id() { echo 65534; }\n${steps.join('')}`);
  t.equal(status, 0, stderr);
  t.match(stdout, 'nothing failed', 'doctor has looked');
  t.match(stdout, /^tests run as 65534\n[^]* 0% packet loss/m, 'the tests are run as the user of the job');
  t.same(residue, [], 'nothing is left');
});

t.test('the containers', { skip: needs }, async (t) => {
  const script = blocks
    .filter(({ language }) => language === 'sh')
    .map(({ text }) => text)
    .join('');
  const { status, stdout, stderr, residue } = await bash(t, DOCKER + script);
  t.equal(status, 0, stderr);
  t.equal(stdout.match(/1 received, 0% packet loss/g)?.length, 2, 'privileged, and with the capabilities alone');
  t.same(residue, []);
  const without = async (option: string): Promise<string> =>
    (
      await bash(
        t,
        DOCKER + script.replace('docker run --rm --privileged vnet-bpf vnet-bpf', 'true').replace(option, ''),
      )
    ).stderr;
  t.match(await without('--cap-add BPF'), /lacks CAP_BPF\n/, 'none of them is too many');
  t.match(
    await without('--security-opt systempaths=unconfined'),
    /\/proc\/sys\/.*read-only.*\nhint: .*systempaths=unconfined/,
    'the error names the option',
  );
});
