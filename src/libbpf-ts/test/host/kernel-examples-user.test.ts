// SPDX-License-Identifier: MIT
// The examples that probe programs of user space, as a user runs them; and what all examples have in common.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import t from 'tap';

import { BpfObject, skeletonOf } from '../../src/index';
import { EXAMPLES, startExample as start } from '../helpers/examples';
import { compile, compileC, skipUnlessRoot } from '../helpers/machine';

t.test('usdt', { skip: skipUnlessRoot }, async (t) => {
  const program = compileC('user');
  await using example = start('usdt', [program, 'libbpf_ts:turn']);
  await example.prints(/^waiting for libbpf_ts:turn in /m);
  const child = spawn(program, ['3'], { stdio: 'ignore' });
  await once(child, 'exit');
  for (const turn of [0, 1, 2])
    await example.prints(new RegExp(`^${child.pid} user: libbpf_ts:turn\\(${turn}\\)$`, 'm'));
  t.equal(await example.end('SIGINT'), 0);
  t.equal(example.output.match(/turn\(/g)?.length, 3);
});

t.test('node-files', { skip: skipUnlessRoot }, async (t) => {
  const script = `const fs = require('node:fs');
    process.stdin.once('data', () => {
      fs.closeSync(fs.openSync('/etc/hostname'));
      fs.open('/dev/null', 'w', () => process.exit());
    });`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'ignore', 'inherit'] });
  const ended = once(child, 'exit');
  await using example = start('node-files', [String(child.pid)]);
  await example.prints(new RegExp(`^waiting for files that ${child.pid} opens, in /`, 'm'));
  child.stdin.write('now');
  await example.prints(/^read {2}\/etc\/hostname$/m);
  await example.prints(/^write \/dev\/null$/m);
  t.same(await ended, [0, null]);
  t.equal(await example.end('SIGINT'), 0);
});

t.test('Node.js has no static probes, as usdt.ts says', async (t) => {
  t.notMatch(execFileSync('readelf', ['-n', process.execPath], { encoding: 'utf8', stdio: 'pipe' }), 'stapsdt');
});

const files = readdirSync(EXAMPLES);
const generated = files.filter((file) => file.endsWith('.generated.ts'));

t.test('each is short', async (t) => {
  const programs = files.filter((file) => file.endsWith('.ts') && !generated.includes(file));
  t.ok(programs.length >= 12, programs.join());
  for (const file of programs) {
    const lines = readFileSync(join(EXAMPLES, file), 'utf8').split('\n').length - 1;
    t.ok(lines < 60, `${file}: ${lines} lines`);
  }
});

t.test('generated code is that of the objects: make examples', async (t) => {
  t.ok(generated.length >= 9, generated.join());
  for (const file of generated) {
    const name = basename(file, '.generated.ts');
    using object = BpfObject.open(compile(name, EXAMPLES));
    const text = `// SPDX-License-Identifier: MIT\n${skeletonOf(object, `${name}.bpf.o`)}`;
    t.equal(readFileSync(join(EXAMPLES, file), 'utf8'), text, file);
  }
});
