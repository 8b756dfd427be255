// SPDX-License-Identifier: MIT
/**
 * README.md from top to bottom: every file in it is written and every command typed, in order, on a machine of its own.
 */
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, ROOT, SLOW } from '../../helpers/cli';
import { blocksOf, scriptOf } from '../../helpers/document';
import { PrivateMachine } from '../../helpers/private-machine';
import { withoutQdisc } from '../../helpers/qdisc';
import { withoutTools } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

/**
 * The reader's environment: a checkout that is built already, a directory to work in, sudo, and an /etc and a
 * /usr/local that the rest of the machine does not see. The checkout is mounted where other users cannot write to any
 * directory above it.
 */
const PREPARE = `
mount --bind "$ROOT" /mnt
cp -a /etc /run/etc
mount --bind /run/etc /etc
mkdir -p /run/home /run/usr/bin && cd /run/home
printf '#!/bin/sh\\nexec "$@"\\n' >/run/usr/bin/sudo
chmod +x /run/usr/bin/sudo
export PATH="/run/usr/bin:$(dirname "$NODE"):$PATH" PREFIX=/run/usr SETUP=no
unset MAKEFLAGS MFLAGS MAKELEVEL
make() { command make --no-print-directory -C /mnt "$@"; }
set -e
`;

const isForNetem = ({ text }: { text: string }): boolean => text.includes('vnet-bpf impair');

t.test(
  'the README works as it is written',
  { skip: cannotRun || withoutTools('bash', 'ip', 'ping', 'make') },
  async (t) => {
    const blocks = blocksOf(path.join(ROOT, 'README.md')).filter(({ language }) => language !== '');
    t.same([...new Set(blocks.map(({ language }) => language))].sort(), ['sh', 'ts'], 'nothing in it is not run');
    t.equal(blocks.filter(isForNetem).length, 1);
    const possible = withoutQdisc('netem') ? blocks.filter((block) => !isForNetem(block)) : blocks;
    const machine = await PrivateMachine.start(t);
    const { status, stdout, stderr } = machine.run('bash', ['-c', PREPARE + scriptOf(possible)], {
      NODE: process.execPath,
      ROOT,
    });
    const last = stdout
      .split('\n')
      .filter((line) => line.startsWith('@@'))
      .at(-1);
    t.equal(status, 0, `${last}: ${stderr}`);
    // With netem there are three pings, and the last may lose some packets.
    t.ok(
      (stdout.match(/^4 packets transmitted, 4 received, 0% packet loss/gm)?.length ?? 0) >= 2,
      'the pings of the Quick start are answered',
    );
    t.match(stdout, / loaded/, 'the log has something to say');
    t.match(stdout, 'nobody answers');
    t.match(stdout, /echo request/);
    t.match(stdout, /^[1-9]\d* frames? of vnet0 in run\.pcapng$/m);
    t.match(stdout, /^[1-9]\d* frames? sent on vnet0/m);
    const ours = ['/run/netns', '/run/home', '/run/usr', '/run/etc'];
    t.same(
      machine.residue().filter((line) => !ours.includes(line)),
      [],
      'nothing is left',
    );
    t.equal(machine.shell('ls -A /run/home'), '', 'and no file');
  },
);
