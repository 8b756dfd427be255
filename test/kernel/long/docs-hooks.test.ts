// SPDX-License-Identifier: MIT
/** docs/hooks.md: every command and every file in it, as written, one after the other, on a machine of its own. */
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, MAIN, ROOT, SLOW } from '../../helpers/cli';
import { blocksOf, scriptOf } from '../../helpers/document';
import { PrivateMachine } from '../../helpers/private-machine';
import { withoutTools } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

/** The reader's environment: the command in the PATH, the package where Node finds it, and a home directory. */
const PREPARE = `
# A checkout below /root would be hidden, one below /tmp is not trusted.
mount --bind "$ROOT" /mnt
MAIN=/mnt/\${MAIN#"$ROOT/"} ROOT=/mnt
# So would a Node be that somebody keeps there.
cd "$(dirname "$NODE")"
mount -t tmpfs -o mode=0700 tmpfs /root
mkdir /root/node
mount --bind . /root/node
NODE=/root/node/$(basename "$NODE")
cd /root
mkdir -p /root/bin /root/nic/node_modules
# What it writes into /etc goes with the machine.
cp -a /etc /root/etc
mount --bind /root/etc /etc
printf '#!/bin/sh\\nexec "%s" "%s" "$@"\\n' "$NODE" "$MAIN" >/root/bin/vnet-bpf
chmod +x /root/bin/vnet-bpf
PATH=/root/bin:$PATH
ln -s "$ROOT" /root/nic/node_modules/vnet-bpf
set -e
`;

t.test('the tutorial does what it says', { skip: cannotRun || withoutTools('bash', 'ip') }, async (t) => {
  const blocks = blocksOf(path.join(ROOT, 'docs', 'hooks.md'));
  t.ok(blocks.filter(({ language }) => language === 'sh').length >= 8, 'there are commands in it');
  t.same(
    [...new Set(blocks.map(({ language }) => language))].sort(),
    ['js', 'sh', 'ts'],
    'and nothing that is not run',
  );
  const script = scriptOf(blocks);
  const machine = await PrivateMachine.start(t);
  const { status, stdout, stderr } = machine.run('bash', ['-c', PREPARE + script], {
    NODE: process.execPath,
    MAIN,
    ROOT,
  });
  const last = stdout
    .split('\n')
    .filter((line) => line.startsWith('@@'))
    .at(-1);
  t.equal(status, 0, `${last}: ${stderr}`);
  t.match(stdout, 'nobody there');
  t.match(stdout, 'there, but silent');
  t.match(stdout, /vnet1 has received \d+ frames/);
  t.match(stdout, /^(#|ℹ) pass 1$/m);
  t.same(
    machine.residue().filter((line) => line !== '/run/netns'),
    [],
    'and leaves nothing behind but the directory of ip netns',
  );
});
