// SPDX-License-Identifier: MIT
/** What a failed process has printed, and lacks of a machine, in one line. */
import t from 'tap';

import { exhaustion, isExhaustion } from '../../src/errors';
import { reported } from '../../src/terminal/failed-process';

t.test('the line that says why a process has failed', async (t) => {
  t.same(
    reported('(node:1) a warning\nvnet-bpf: vnet0: is attached\nhint: detach it\n'),
    { line: 'vnet0: is attached', hint: 'detach it' },
    'an error of this program',
  );
  const uncaught =
    '/opt/dist/main.js:74\n    throw error;\n    ^\n\nError: ENOENT: no such file\n    at open (fs.js:1)\n';
  t.equal(reported(uncaught).line, 'Error: ENOENT: no such file', 'a stack trace');
  t.equal(reported('\n\n#\n# Fatal error in , line 0\n# Check failed\n').line, 'Fatal error in , line 0', 'of V8');
  t.equal(reported('<--- Last few GCs --->\n\nFATAL ERROR: out of memory\n').line, 'FATAL ERROR: out of memory');
  t.equal(reported('#\n').line, null, 'nothing');
});

t.test('a lack of threads or processes, and of space', async (t) => {
  const lacks = (properties: object, text = 'EAGAIN'): Error => Object.assign(new Error(text), properties);
  const thread = lacks({ code: 'ERR_WORKER_INIT_FAILED' });
  t.match(exhaustion(thread), {
    message: 'this command: no more threads or processes may be started (EAGAIN)',
    hint: /pids\.max.*TasksMax=/,
  });
  t.match(exhaustion(lacks({ code: 'EAGAIN', syscall: 'spawnSync ip', path: 'ip' })), { message: /^ip: no more / });
  t.notOk(isExhaustion(lacks({ code: 'EAGAIN', syscall: 'read' })), 'a pipe without data is none');
  t.match(
    exhaustion(lacks({ code: 'ENOSPC', syscall: 'write' }, 'ENOSPC: no space left on device, write'), '/tmp/copy'),
    {
      message: '/tmp/copy: no space is left (ENOSPC)',
    },
  );
});
