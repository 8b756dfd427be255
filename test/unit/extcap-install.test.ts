// SPDX-License-Identifier: MIT
/** The directories in which the extcap program for Wireshark is installed. */
import * as os from 'node:os';
import * as path from 'node:path';

import t from 'tap';

import { personalDirectories } from '../../src/cli/extcap';

t.test('the directories of a user, never below the working directory', (t) => {
  const { homedir } = os.userInfo();
  const below = (home: string): string[] => [
    path.join(home, '.config/wireshark/extcap'),
    path.join(home, '.local/lib/wireshark/extcap'),
  ];
  t.same(personalDirectories({ HOME: '/home/somebody' }), below('/home/somebody'));
  for (const HOME of [undefined, '', 'relative'])
    t.same(personalDirectories(HOME === undefined ? {} : { HOME }), below(homedir), `HOME: ${HOME}`);
  t.equal(personalDirectories({ HOME: '/home/somebody', XDG_CONFIG_HOME: '/etc/xdg' })[0], '/etc/xdg/wireshark/extcap');
  t.equal(personalDirectories({ HOME: '/home/somebody', XDG_CONFIG_HOME: 'relative' })[0], below('/home/somebody')[0]);
  t.end();
});
