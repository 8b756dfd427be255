// SPDX-License-Identifier: MIT
// Attaching to programs of user space, which a real compiler has made.
import { execFileSync } from 'node:child_process';
import t from 'tap';

import { attachUprobe, attachUprobeMulti, attachUsdt, kernelIsAtLeast } from '../../src/index';
import { COOKIE, Kinds, sees } from '../helpers/kinds';
import { compile, compileC, skipUnlessRoot } from '../helpers/machine';

t.test('programs of user space', { skip: skipUnlessRoot }, async (t) => {
  const image = compile('kinds');
  const withCookies = kernelIsAtLeast('5.15');
  const user = compileC('user');
  const path = user;
  const run = (): unknown => execFileSync(user, ['10'], { stdio: 'ignore' });
  const cookie = withCookies ? { cookie: COOKIE } : {};
  await t.test('uprobe', (t) =>
    sees(t, image, 'uprobe', (program) => attachUprobe(program, { path, function: 'work', ...cookie }), run, 10),
  );
  await t.test('uprobe at an offset', (t) => {
    const offset = Number.parseInt(
      /([0-9a-f]+) T work$/m.exec(execFileSync('nm', [user], { encoding: 'utf8' }))![1]!,
      16,
    );
    return sees(
      t,
      image,
      'uprobe',
      (program) => attachUprobe(program, { path, offset: fileOffset(user, offset) }),
      run,
      10,
    );
  });
  await t.test('uretprobe', (t) =>
    sees(
      t,
      image,
      'uretprobe',
      (program) => attachUprobe(program, { path, function: 'work', onReturn: true }),
      run,
      10,
    ),
  );
  await t.test('only one process', async (t) => {
    using it = new Kinds(image, 'uprobe');
    using program = it.program('uprobe');
    using _link = attachUprobe(program, { path, function: 'work', pid: process.pid });
    t.equal(it.during('uprobe', run), 0, 'another one is not seen');
  });
  await t.test('USDT', async (t) => {
    const target = { path, provider: 'libbpf_ts', name: 'turn', ...cookie };
    await sees(t, image, 'usdt', (program) => attachUsdt(program, target), run, 10);
  });
  await t.test('uprobe.multi', async (t) => {
    const nm = execFileSync('nm', [user], { encoding: 'utf8' });
    const offsets = [...nm.matchAll(/^([0-9a-f]+) T work(?:_more)?$/gm)].map((match) =>
      fileOffset(user, Number.parseInt(match[1]!, 16)),
    );
    t.equal(offsets.length, 2);
    await sees(t, image, 'uprobe_multi', (program) => attachUprobeMulti(program, { path, offsets }), run, 20);
    await sees(t, image, 'uprobe_multi', (program) => attachUprobeMulti(program, { path, pattern: 'work*' }), run, 20);
  });
  await t.test('what is not there', async (t) => {
    using it = new Kinds(image, 'uprobe');
    using program = it.program('uprobe');
    t.throws(() => attachUprobe(program, { path, function: 'no_such_function' }), {
      code: 'BPF_SYSCALL',
      message: /no_such_function/,
    });
    t.throws(() => attachUprobe(program, { path: '/nonexistent', function: 'work' }), { code: 'BPF_SYSCALL' });
    t.throws(() => attachUprobe(program, { path }), { code: 'BPF_USAGE' });
    t.throws(() => attachUprobeMulti(program, { path }), { code: 'BPF_USAGE' });
  });
});

/** Where in the file the instruction at an address of a position-independent program is. */
function fileOffset(file: string, address: number): number {
  const headers = execFileSync('readelf', ['--program-headers', '--wide', file], { encoding: 'utf8' });
  for (const [, offset, start, size] of headers.matchAll(
    /LOAD +0x([0-9a-f]+) 0x([0-9a-f]+) 0x[0-9a-f]+ 0x([0-9a-f]+)/g,
  )) {
    const at = Number.parseInt(start!, 16);
    if (address >= at && address < at + Number.parseInt(size!, 16)) return address - at + Number.parseInt(offset!, 16);
  }
  throw new Error(`no segment of ${file} has the address ${address}`);
}
