// SPDX-License-Identifier: MIT
/** Tab, pressed for real in each shell: commands, options, their values, attached interfaces, namespaces, files. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { COMMANDS } from '../../../src/cli/commands';
import { attachedIn, cannotRun, ROOT, SLOW } from '../../helpers/cli';
import { complete, type Shell } from '../../helpers/complete';
import { blocksOf } from '../../helpers/document';
import { hookDirectory } from '../../helpers/hook-file';
import { run, testNetns } from '../../helpers/netns';
import { PrivateMachine } from '../../helpers/private-machine';
import { withoutTools } from '../../helpers/traffic';

t.setTimeout(120_000 * SLOW);

const SHELLS: readonly Shell[] = ['bash', 'zsh', 'fish'];

/** bash is installed everywhere; the other shells are tested where they are. */
const without = (shell: Shell): string | false =>
  run('sh', ['-c', `command -v ${shell}`]).status === 0
    ? false
    : shell === 'bash'
      ? withoutTools('bash')
      : `there is no ${shell}`;

/** The offers that the test knows; the machine may have more. */
const offers = (t: Test, shell: Shell, directory: string, line: string, expected: string[]): void =>
  void t.same(complete(shell, line, directory), expected.sort(), `${shell}: ${line}`);

for (const shell of SHELLS) {
  t.test(shell, { skip: cannotRun || without(shell) }, (t) => {
    const directory = hookDirectory(t);
    const netns = testNetns(t);
    const nic = attachedIn(t, netns, [], 'vncomplete0');
    t.same(
      complete(shell, 'vnet-bpf ', directory).filter((offer) => !offer.startsWith('-')),
      COMMANDS.map(({ name }) => name).sort(),
      'commands',
    );
    offers(t, shell, directory, 'vnet-bpf det', ['detach']);
    offers(t, shell, directory, 'vnet-bpf attach --when-', ['--when-full']);
    offers(t, shell, directory, 'vnet-bpf attach vnet0 --type ', ['dummy', 'veth']);
    if (shell !== 'zsh')
      offers(t, shell, directory, 'vnet-bpf attach vnet0 --type=v', [shell === 'fish' ? '--type=veth' : 'veth']);
    offers(t, shell, directory, 'vnet-bpf completion z', ['zsh']);
    offers(t, shell, directory, 'vnet-bpf help det', ['detach']);
    offers(t, shell, directory, `vnet-bpf detach --netns ${netns.slice(0, 6)}`, [netns]);
    for (const command of shell === 'zsh' ? ['detach', 'hook'] : ['detach', 'stats', 'log', 'step', 'hook'])
      offers(t, shell, directory, `vnet-bpf ${command} vncom`, [nic.iface]);
    offers(t, shell, directory, `vnet-bpf detach --netns ${netns} vncom`, [nic.iface]);
    offers(t, shell, directory, 'vnet-bpf replay run.pcapng --into vncom', [nic.iface]);
    offers(t, shell, directory, `vnet-bpf impair ${nic.iface} sat`, ['satellite']);
    offers(t, shell, directory, 'vnet-bpf attach vnet0 --mtu vncom', []);
    const [file] = complete(shell, `vnet-bpf hook ${nic.iface} ${ROOT}/packa`, directory);
    t.match(file, /package/, 'files');
    // Names chosen by others, which bash would split and expand.
    for (const name of ['odd *', 'odd $(id)']) fs.writeFileSync(path.join(directory, name), '');
    if (shell === 'bash')
      offers(t, shell, directory, `vnet-bpf hook ${nic.iface} ${directory}/odd`, [
        `${directory}/odd *`,
        `${directory}/odd $(id)`,
      ]);
    t.end();
  });
}

t.test(
  'a shell whose user has another find, and stops at errors',
  { skip: cannotRun || without('bash') },
  async (t) => {
    const netns = testNetns(t);
    attachedIn(t, netns, [], 'vncomplete0');
    const script = path.join(ROOT, 'dist', 'completion', 'vnet-bpf.bash');
    const lines = [
      'shopt -s expand_aliases failglob; alias find=false sed=false',
      `set -u; . '${script}'`,
      'COMP_WORDS=(vnet-bpf detach "$1"); COMP_CWORD=2; _vnet_bpf; echo "${COMPREPLY[@]}"',
    ];
    t.match(run('bash', ['-c', lines.join('\n'), 'bash', 'vncom']), { status: 0, stdout: 'vncomplete0\n', stderr: '' });
  },
);

t.test(
  'not root: nothing is offered, and nothing is said',
  { skip: cannotRun || without('bash') || withoutTools('setpriv') },
  async (t) => {
    const netns = testNetns(t);
    attachedIn(t, netns, [], 'vncomplete0');
    const directory = hookDirectory(t);
    const script = path.join(ROOT, 'dist', 'completion', 'vnet-bpf.bash');
    // It is read by root, because other users may be unable to enter the checkout.
    const nobody = `exec setpriv --reuid 65534 --regid 65534 --clear-groups -- bash --norc -s /dev/fd/3 "$1" 3<'${script}'`;
    t.same(
      complete('bash', 'vnet-bpf detach ', directory, (_, args) =>
        run('bash', ['-c', nobody, 'bash', args[5] ?? ''], { input: args[2] ?? '' }),
      ),
      [],
    );
  },
);

t.test('the way that the document shows', { skip: cannotRun || without('bash') }, async (t) => {
  const text =
    blocksOf(path.join(ROOT, 'docs', 'cli.md')).find(
      ({ language, text }) => language === 'sh' && text.includes('vnet-bpf completion'),
    )?.text ?? '';
  const machine = await PrivateMachine.start(t);
  const prepare = `vnet-bpf() { '${process.execPath}' '${path.join(ROOT, 'dist', 'cli', 'main.js')}' "$@"; }\n`;
  const { status, stdout, stderr } = machine.run('bash', ['-c', `${prepare}${text}\ncomplete -p vnet-bpf`]);
  t.same({ status, stdout, stderr }, { status: 0, stdout: 'complete -F _vnet_bpf vnet-bpf\n', stderr: '' });
});
