// SPDX-License-Identifier: MIT
/** Each polling thread stays on one processor, whoever lets the process run on others: it would overtake its frames. */
import * as fs from 'node:fs';
import * as os from 'node:os';

import t from 'tap';

import { attachedIn, attachmentOf, cliOk, SLOW } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { ok, okIn, testNetns } from '../helpers/netns';
import { cannotLoop } from '../helpers/supported';

t.setTimeout(120_000 * SLOW);

const ADDRESS = '10.77.0.1';

t.test(
  'a polling thread stays on one processor',
  { skip: cannotLoop() || (os.availableParallelism() < 2 && 'there is only one') },
  async (t) => {
    const nic = attachedIn(t, testNetns(t), ['--addr', `${ADDRESS}/24`]);
    const { pid } = attachmentOf(nic);
    /** Threads that are bound to one processor. */
    const bound = (): number => {
      const lists = fs.readdirSync(`/proc/${pid}/task`).map((thread) => {
        const status = fs.readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
        return /^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? '';
      });
      return lists.filter((list) => /^\d+$/.test(list)).length;
    };
    const everywhere = (): string => ok('taskset', ['--all-tasks', '--pid', '--cpu-list', '0,1', String(pid)]);
    t.equal(bound(), 1, 'at first');
    everywhere();
    t.ok(await eventually(() => bound() === 1, 5000), 'it binds itself again');
    cliOk(['faults', 'vnet0', '--netns', nic.netns, 'icmp: delay 1ms']);
    t.ok(await eventually(() => bound() === 1, 5000), 'the thread of faults is bound, too');
    everywhere();
    t.ok(await eventually(() => bound() === 1, 5000), 'and binds itself again');
    t.match(okIn(nic.netns, 'ping', ['-c', '2', '-i', '0.1', ADDRESS]), / 2 received/);
  },
);
