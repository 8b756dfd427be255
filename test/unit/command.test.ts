// SPDX-License-Identifier: MIT
/** The system programs that we run. */
import t from 'tap';

import { command } from '../../src/native/command';

t.test("a terminal's Ctrl-C does not reach them", (t) => {
  const [group, session] = command('sh', ['-c', 'echo $$; exec cat /proc/self/stat']).split('\n', 2);
  // Behind the name: state, parent, process group, session.
  const fields = (session ?? '').replace(/^.*\) /, '').split(' ');
  t.match(group, /^\d+$/);
  t.same(fields.slice(2, 4), [group, group], 'each is in a process group and a session of its own');
  t.end();
});
