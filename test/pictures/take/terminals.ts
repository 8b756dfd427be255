// SPDX-License-Identifier: MIT
/**
 * Takes the pictures of docs/ that show a terminal: a session of commands, `top`, and a recording in tshark. Figures in
 * them are those of the machine that took them; their words are compared by test/unit/pictures.test.ts and
 * test/kernel/long/top.test.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { attachedIn, cannotRun, MAIN, ROOT } from '../../helpers/cli';
import { eventually } from '../../helpers/controller';
import { inside, ok, okIn, quietNetns, run } from '../../helpers/netns';
import { startRecording, withoutTshark } from '../../helpers/recording';
import { SIZE, Tmux } from '../../helpers/tmux';
import { busyPair } from '../../helpers/top-picture';
import { withoutTools } from '../../helpers/traffic';
import { film } from '../film';
import { DEMO, FILM_SIZE, TSHARK, TSHARK_SIZE } from '../scripts';
import { Shell } from '../session';
import { screenPicture } from '../terminal';

const ADDRESS = '10.77.0.1';

t.setTimeout(240_000);

const write = (name: string, svg: string): void => fs.writeFileSync(path.join(ROOT, 'docs', name), svg);

/** A directory with the command `vnet-bpf` in it, as it is once installed. */
function installed(t: Test): string {
  const directory = t.testdir({});
  fs.writeFileSync(path.join(directory, 'vnet-bpf'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`, {
    mode: 0o755,
  });
  return directory;
}

/** A namespace whose name is in the picture; there must be none of that name. */
function namedNetns(t: Test): string {
  const name = 'lab';
  ok('ip', ['netns', 'add', name]);
  t.teardown(() => run('ip', ['netns', 'del', name]));
  okIn(name, 'sysctl', ['-qw', 'net.ipv6.conf.default.disable_ipv6=1']);
  return name;
}

t.test('docs/demo.svg', { skip: cannotRun || withoutTools('tmux', 'bash', 'ping') }, async (t) => {
  const netns = namedNetns(t);
  const bin = installed(t);
  const shell = new Shell(t, FILM_SIZE, { command: inside(netns), directory: bin, bin });
  await shell.ready();
  for (const command of DEMO) await shell.type(command);
  write(
    'demo.svg',
    film(shell.session('vnet-bpf at work: an interface that receives what it transmits, and a fault on cue')),
  );
  t.match(okIn(netns, 'ip', ['-brief', 'link']), /^lo\b.*$/m, 'nothing is left');
});

t.test('docs/top.svg', { skip: cannotRun || withoutTools('tmux') }, async (t) => {
  const { netns } = await busyPair(t);
  const terminal = new Tmux(t, [process.execPath, MAIN, 'top', '--netns', netns], SIZE);
  await terminal.shows(/> vnet0[^]*% of [^]*drops full \d/);
  const isFull = (): boolean => /stops .*[▁-█]{46}$/m.test(terminal.lines().join('\n'));
  t.ok(await eventually(isFull, 90_000), 'most of a minute is on the charts');
  const text = terminal.styled().replaceAll(netns, 'lab'.padEnd(netns.length));
  write('top.svg', screenPicture({ title: 'vnet-bpf top', width: SIZE.width, text }));
});

t.test('docs/tshark.svg', { skip: cannotRun || withoutTools('tmux', 'bash', 'ping') || withoutTshark() }, async (t) => {
  const netns = quietNetns(t);
  const rules = 'icmp from client nth 2: drop; icmp from client nth 3: delay 20ms; icmp from server nth 3: corrupt';
  const nic = attachedIn(t, netns, ['--addr', `${ADDRESS}/24`, '--faults', rules, '--seed', '7']);
  const recording = await startRecording(t, nic);
  okIn(netns, 'sh', ['-c', `ping -c 4 -i 0.2 -W 1 ${ADDRESS} || true`]);
  await recording.end();
  // As root, tshark would begin with a warning.
  const directory = path.dirname(recording.file);
  ok('chown', ['-R', 'nobody', directory]);
  const command = ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', 'env', `HOME=${directory}`];
  const shell = new Shell(t, TSHARK_SIZE, { command, directory, bin: directory });
  await shell.ready();
  await shell.type(TSHARK);
  write('tshark.svg', screenPicture(shell.session('A recording in tshark, with the comments of vnet-bpf')));
});
