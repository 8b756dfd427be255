// SPDX-License-Identifier: MIT
// What becomes a message: libbpf's lines, logs of the verifier, names of unknown origin; and the collector's code.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

import { integer, oneOf, text, uint32 } from '../src/border';
import { Elf } from '../src/elf';
import { errnoName, errnoWords, systemError, UnknownNameError, UnreadableObjectError } from '../src/errors';
import { COLLECTORS } from '../src/native/messages';
import { bounded, reasonOf } from '../src/reasons';
import { suggestionFor } from '../src/refusals';
import { readLog, VerifierError } from '../src/verifier';
import { REFUSAL_LOGS } from './helpers/refusal-logs';

t.test('the lines that say why', async (t) => {
  t.equal(reasonOf([]), undefined);
  t.equal(reasonOf(['failed to load object']), 'failed to load object', 'better than nothing');
  t.equal(
    reasonOf(["prog 'x': missing BPF prog type", "prog 'x': failed to load: -22", "failed to load object 'x'"]),
    "prog 'x': missing BPF prog type",
  );
  t.equal(reasonOf(['a', 'a', 'b', 'c', 'd']), 'a; b; c', 'three at most');
  t.equal(reasonOf(['-- BEGIN BTF LOAD LOG ---\nmuch\n-- END BTF LOAD LOG --', 'why']), 'why');
  t.ok(reasonOf(['x'.repeat(10_000)])!.length <= 700);
});

t.test('text of unknown origin', async (t) => {
  t.equal(bounded('plain \u00e4', 100), 'plain \u00e4');
  t.equal(bounded('a\nb\x1b[0m\u202e', 100), 'a\\x0ab\\x1b[0m\\x202e');
  t.equal(bounded('abcdef', 4), 'abc\u2026');
  t.ok(new UnreadableObjectError('o', 'y'.repeat(1e6)).message.length <= 2000);
  const names = Array.from({ length: 5000 }, (_, i) => `name${i}`);
  const error = new UnknownNameError('map', 'z'.repeat(1e6), names);
  t.ok(error.message.length < 2000);
  t.match(error.message, /and 4960 more$/);
  t.equal(error.known.length, 5000);
});

t.test('an error of the system has the words of libbpf', async (t) => {
  const messages = ["map 'x': failed to create: Invalid argument(-22)", "failed to load object 'y'"];
  t.match(systemError('load y', -22, [], messages), {
    code: 'BPF_SYSCALL',
    errnoName: 'EINVAL',
    message: "load y: EINVAL (invalid argument): map 'x': failed to create: Invalid argument(-22)",
    messages,
  });
  t.equal(systemError('call', 2).message, 'call: ENOENT (no such file or directory)');
});

t.test('every errno of Linux has a name', async (t) => {
  const list = '/usr/include/asm-generic/errno.h';
  const names = [...readFileSync(list, 'latin1').matchAll(/^#define\s+(E\w+)\s+(\d+)/gm)];
  t.ok(names.length > 50);
  for (const [, name, number] of names) t.notMatch(errnoName(Number(number)), /^errno/, name!);
});

t.test('arguments', async (t) => {
  t.equal(uint32('call', 'x', 2 ** 32 - 1), 2 ** 32 - 1);
  t.throws(() => uint32('call', 'x', 2 ** 32), {
    code: 'BPF_USAGE',
    message: 'call: x is 4294967296, not an integer from 0 to 4294967295',
  });
  t.throws(() => integer('call', 'x', '5', 0, 9), { message: 'call: x is "5", not an integer from 0 to 9' });
  t.throws(() => integer('call', 'x', 5n, 0, 9), { code: 'BPF_USAGE' });
  t.throws(() => integer('call', 'x', Symbol('s'), 0, 9), { code: 'BPF_USAGE' });
  t.throws(() => integer('call', 'x', { toString: null }, 0, 9), { code: 'BPF_USAGE' });
  t.throws(() => text('call', 'path', 'a\0b'), { message: /NUL/ });
  t.throws(() => text('call', 'path', 5), { message: 'call: path is 5, not a string' });
  t.throws(() => oneOf('call', 'mode', 'c', ['a', 'b']), { message: 'call: mode is "c"; there are: a, b' });
});

t.test('the assembly of the collector is its bytes', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'libbpf-ts-collector-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const native = join(
    __dirname,
    '..',
    '..',
    '..',
    ...(__filename.endsWith('.ts') ? [] : ['..']),
    'src/libbpf-ts/src/native',
  );
  for (const [machine, target] of Object.entries({ x64: 'x86_64', arm64: 'aarch64' })) {
    const object = join(directory, `${machine}.o`);
    const source = join(native, `collector.${machine}.s`);
    execFileSync('clang', ['-target', `${target}-linux-gnu`, '-c', source, '-o', object]);
    const elf = new Elf(readFileSync(object), machine);
    const code = elf.bytes(elf.sections.find(({ name }) => name === '.text')!);
    t.equal(COLLECTORS[machine], Buffer.from(code).toString('hex'), machine);
  }
});

t.test('what to do about the commonest refusals', async (t) => {
  const expected: Readonly<Record<string, RegExp>> = {
    null_pointer: /compare it with NULL before using it/,
    null_argument: /compare it with NULL before passing it/,
    packet_bounds: /compare the pointer plus its length with data_end/,
    packet_end: /data_end only serves for comparisons/,
    negative_index: /make it unsigned/,
    unbounded_index: /compare it with the size/,
    beyond_value: /compare it with the size/,
    zero_length: /the length may be 0/,
    number_as_pointer: /bpf_probe_read_kernel/,
    unreleased: /release it on every path/,
    endless: /the loop has no bound/,
    too_many_paths: /make loops shorter/,
    stack_size: /the stack has 512 bytes/,
    stack_bounds: /the stack has 512 bytes/,
    uninitialized_key: /the stack has 512 bytes/,
    no_return_value: /return value is not set on every path/,
    uninitialized_register: /used before it is set/,
    return_value: /return one of the values/,
    unknown_helper: /does not have the helper/,
    helper_of_others: /not for this kind of program/,
    context_field: /read whole fields/,
    context_pointer: /read each field from the context itself/,
    pointer_sum: /known to be small/,
    no_end: /undefined behaviour/,
    write_constant: /the memory is read-only/,
    misaligned: /read the value in parts/,
    lock_kept: /unlock on every path/,
    wrong_argument: /another kind than the helper/,
    needs_gpl: /SEC\("license"\)/,
  };
  t.same(Object.keys(REFUSAL_LOGS).sort(), Object.keys(expected).sort());
  for (const [program, lines] of Object.entries(REFUSAL_LOGS)) {
    const error = new VerifierError(program, lines.join('\n'), 13);
    t.match(error.suggestion, expected[program]!, `${program}: ${error.reason}`);
    t.notMatch(error.reason, /^processed|^(?:cur|old) state/);
    t.match(error.message, error.suggestion);
  }
});

t.test('the words of older kernels', async (t) => {
  const complaints: readonly (readonly [string, RegExp])[] = [
    ["R0 invalid mem access 'inv'", /bpf_probe_read_kernel/],
    ['invalid access to packet, off=0 size=1, R1(id=0,off=0,r=0)', /data_end/],
    ['R1 unbounded memory access, make sure to bounds check any array access into a map', /compare it with the size/],
    ["R2 min value is negative, either use unsigned or 'var &= const'", /make it unsigned/],
    ['Unreleased reference id=2 alloc_insn=5', /release it/],
    ['back-edge from insn 7 to 2', /the loop has no bound/],
    ['infinite loop detected at insn 5', /the loop has no bound/],
    ['The sequence of 8193 jumps is too complex.', /make loops shorter/],
    ['invalid indirect read from stack off -16+0 size 8', /padding included/],
    ['invalid stack type R2 off=-520 access_size=8', /the stack has 512 bytes/],
    [
      'At program exit the register R0 has value (0x4d; 0x0) should have been in (0x0; 0x1)',
      /return one of the values/,
    ],
    ['failed to resolve CO-RE relocation <byte_off> [4] struct s.a (0:1 @ offset 1)', /bpf_core_field_exists/],
    ['unknown func bpf_loop#181', /does not have the helper/],
    ['cannot call GPL-restricted function from non-GPL compatible program', /SEC\("license"\)/],
    ['dereference of modified ctx ptr R1 off=4 disallowed', /read each field/],
    ["func 'f' doesn't have 3-th argument", /fewer arguments/],
    ['R1 type=ctx expected=fp', /another kind/],
    ['calling kernel function bpf_x is not allowed', /may not call/],
    ['R0 leaks addr as return value', /CAP_PERFMON/],
    ['helper call might sleep in a non-sleepable prog', /sleepable/],
    ['the call stack of 8 frames is too deep !', /8 deep/],
    ["ldimm64 failed to find the address for kernel symbol 'runqueues'.", /no such variable/],
    ['only read is supported', /read-only for programs/],
    ['attach to unsupported member get_info of struct tcp_congestion_ops', /leave it out/],
  ];
  for (const [complaint, expected] of complaints) t.match(suggestionFor(complaint), expected, complaint);
  t.equal(suggestionFor('nobody has seen this'), undefined);
});

t.test('the line in C', async (t) => {
  const log = [
    '0: R1=ctx() R10=fp0',
    '; return *value; @ refused.bpf.c:26',
    '9: (61) r0 = *(u32 *)(r0 +0)',
    "R0 invalid mem access 'x'",
  ];
  t.same(readLog(log.join('\n')).source, { text: 'return *value;', file: 'refused.bpf.c', line: 26 });
  t.same(readLog(log.join('\n').replace(/ @ .*/, '')).source, { text: 'return *value;' }, 'before Linux 6.10');
  t.equal(readLog('; R7=0x27bf9\nBPF program is too large.').source, undefined);
  t.equal(readLog('').source, undefined);
  const moved = [...log.slice(0, 2), ';  @ refused.bpf.c:0', ...log.slice(2)];
  t.match(readLog(moved.join('\n')).source, { line: 26 }, 'the compiler has moved an instruction to no line');
});

t.test('arguments of a function, as Linux 6.18 refuses them', async (t) => {
  const log = [
    '2: (85) call pc+1',
    'R1 type=scalar expected=fp',
    "Caller passes invalid args into func#1 ('foo')",
    'processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0',
  ];
  const { complaint } = readLog(log.join('\n'));
  t.equal(complaint, "Caller passes invalid args into func#1 ('foo'): R1 type=scalar expected=fp");
  t.match(suggestionFor(complaint), /another kind/);
  const { complaint: alone } = readLog([log[0], ...log.slice(2)].join('\n'));
  t.equal(alone, "Caller passes invalid args into func#1 ('foo')");
});

t.test('the words of an errno', async (t) => {
  t.equal(errnoWords(95), 'ENOTSUP (operation not supported)', 'libuv says that of sockets');
});
