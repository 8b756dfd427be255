// SPDX-License-Identifier: MIT
// Errors say why, in libbpf's words, on whichever thread, and whatever other threads do meanwhile.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { BpfError, BpfObject, VerifierError } from '../src/index';
import { compile, compileText, skipUnlessRoot } from './helpers/machine';
import { firstMessage, runScript, startWorker } from './helpers/script';

/** The error of a load. */
function errorOf(action: () => void, what = 'it'): BpfError {
  try {
    action();
  } catch (error) {
    if (error instanceof BpfError) return error;
    throw error;
  }
  return new BpfError(`${what} was not refused`, { operation: 'test' });
}

const loadOf = (path: string): BpfError =>
  errorOf(() => {
    using object = BpfObject.open(path);
    object.load();
  });

t.test('libbpf says why an object is refused', { skip: skipUnlessRoot }, async (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['missing-kfunc', /no_such_kernel_function/],
    ['missing-ksym', /no_such_kernel_variable/],
    ['unknown-section', /prog 'unknown': missing BPF prog type, check ELF section name 'no_such_kind'/],
    ['legacy-maps', /legacy map definitions in 'maps' section are not supported/],
  ];
  for (const [name, reason] of cases) {
    const error = loadOf(compile(name));
    t.match(error.message, reason, name);
    t.match(error.message, /: E[A-Z]+ \(|LIBBPF_ERRNO__/, 'beside the name of the errno');
    t.notMatch(error.message, /\n/);
    t.ok(error.messages.length > 0, name);
  }
});

t.test('a pinned map of another layout', { skip: skipUnlessRoot }, async (t) => {
  const script = `
    const other = ts.BpfMap.create({ type: 2, keySize: 4, valueSize: 4, maxEntries: 1 });
    other.pin('/sys/fs/bpf/libbpf_ts_pinned');
    const object = ts.BpfObject.open(${JSON.stringify(compile('pinned'))});
    try { object.load(); } catch (error) { console.log(error.code, error.message); }`;
  // A bpffs of the process's own where libbpf looks for pins.
  const wrapper = ['unshare', '-m', 'sh', '-c', 'mount -t bpf bpf /sys/fs/bpf && exec "$@"', 'sh'];
  const { stdout, stderr } = await runScript(script, { wrapper });
  t.equal(stderr, '');
  t.match(stdout, /^BPF_SYSCALL load pinned: EINVAL .*\/sys\/fs\/bpf\/libbpf_ts_pinned.*mismatch/);
});

t.test('a map that cannot be created is named', { skip: skipUnlessRoot }, async (t) => {
  using object = BpfObject.open(compile('basic'));
  object.setMaxEntries('hash', 0);
  t.match(
    errorOf(() => object.load()),
    { errnoName: 'EINVAL', message: /map 'hash'.*; its maxEntries are 0: give them with setMap\('hash', / },
  );
});

/** Maps that compile, and that the kernel refuses with EINVAL alone. */
const REFUSED_MAPS: readonly (readonly [string, string, RegExp])[] = [
  [
    'no size of values, no number of entries',
    '__uint(type, BPF_MAP_TYPE_STACK_TRACE); __type(key, __u32);',
    /; its valueSize and maxEntries are 0: give them with setMap\('refused', \{ valueSize, maxEntries \}\)/,
  ],
  [
    'a ring buffer of no size',
    '__uint(type, BPF_MAP_TYPE_RINGBUF);',
    /; its maxEntries are 0 \(bytes of a ring buffer\)/,
  ],
  [
    'no inner map',
    '__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32);',
    /; it does not say what its inner maps are like/,
  ],
  [
    'an inner map of no size',
    '__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 1); __type(key, __u32); ' +
      '__array(values, struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, __u32); });',
    /; the max_entries of its inner map are 0/,
  ],
];

t.test('why a map cannot be created', { skip: skipUnlessRoot }, async (t) => {
  for (const [title, definition, expected] of REFUSED_MAPS) {
    const path = compileText(
      'refused',
      `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { ${definition} } refused SEC(".maps");
SEC("socket") int use(void *ctx) { return !bpf_map_lookup_elem(&refused, &(__u32){0}); }
char _license[] SEC("license") = "GPL";
`,
    );
    t.match(loadOf(path), { errnoName: 'EINVAL', message: expected }, title);
  }
});

t.test('a type of programs that the kernel does not have', { skip: skipUnlessRoot }, async (t) => {
  const NEVER = 1000;
  using object = BpfObject.open(compile('runs'));
  object.setAutoload('first_argument', false);
  object.setType('add', NEVER);
  const { message } = errorOf(() => object.load());
  t.match(message, /^load runs: EINVAL \(invalid argument\): prog 'add': /);
  t.match(message, /; (?:this kernel has no programs of type|the kernel refused it before the verifier)/);
});

t.test('on another thread of libuv', { skip: skipUnlessRoot }, async (t) => {
  using object = BpfObject.open(compile('missing-kfunc'));
  await t.rejects(object.loadAsync(), { message: /no_such_kernel_function/ });
});

t.test('refusals: a reason, the line in C, and what to do', { skip: skipUnlessRoot }, async (t) => {
  const path = compile('refusals');
  const rows = new Set<string>();
  const names = BpfObject.open(path);
  for (const name of names.programNames) {
    using object = BpfObject.open(path);
    for (const other of object.programNames) object.setAutoload(other, other === name);
    const error = errorOf(() => object.load(), name);
    t.ok(error instanceof VerifierError, `${name}: ${error.message}`);
    if (!(error instanceof VerifierError)) continue;
    t.equal(error.program, name);
    t.type(error.suggestion, 'string', `${name}: ${error.reason}`);
    t.ok(error.message.includes(error.suggestion ?? '?'), name);
    rows.add(error.suggestion ?? '');
    if (process.env['LIBBPF_TS_SHOW']) console.error(`# ${error.message}`);
  }
  names.close();
  const error = loadOf(compile('not-gpl'));
  t.match(error, { code: 'BPF_VERIFIER', suggestion: /GPL/ });
  t.ok(rows.size >= 20, `${rows.size} different suggestions`);
});

t.test('the line in C', { skip: skipUnlessRoot }, async (t) => {
  const error = loadOf(compile('refused')) as VerifierError;
  t.match(error.source, { text: 'return *value;' });
  if (error.source?.file !== undefined) {
    t.match(error.source.file, /refused\.bpf\.c$/);
    const line = readFileSync(join(__dirname, 'bpf', 'refused.bpf.c'), 'utf8').split('\n')[error.source.line! - 1];
    t.match(line, /return \*value;/);
  }
});

t.test('each thread sees its own messages, while others load', { skip: skipUnlessRoot }, async (t) => {
  const script = `
    const { paths, rounds } = threads.workerData;
    let wrong = 0;
    for (let i = 0; i < rounds; i++) {
      for (const [path, reason] of paths) {
        try {
          using(path);
          wrong++;
        } catch (error) {
          const right = error.message.includes(reason);
          const others = paths.some(([, other]) => other !== reason && error.message.includes(other));
          if (!right || others) wrong++;
        }
      }
    }
    threads.parentPort.postMessage(wrong);
    function using(path) {
      const object = ts.BpfObject.open(path);
      try { object.load(); } finally { object.close(); }
    }`;
  const paths = [
    [compile('unknown-section'), 'no_such_kind'],
    [compile('legacy-maps'), 'legacy map definitions'],
  ];
  const data = [paths, [...paths].reverse(), paths].map((order) => ({ paths: order, rounds: 60 }));
  const wrong = await Promise.all(data.map((each) => firstMessage(startWorker(script, each))));
  t.same(wrong, [0, 0, 0]);
});

t.test('a thread that has made the collector may end, or be terminated', { skip: skipUnlessRoot }, async (t) => {
  // In a process of its own, where the worker is the first to load libbpf.
  const path = JSON.stringify(compile('unknown-section'));
  const fail = `
    function fail() {
      try { ts.BpfObject.open(${path}).load(); return 'loaded'; } catch (error) { return error.message; }
    }`;
  const worker = JSON.stringify(
    `${fail} threads.parentPort.postMessage(fail()); if (threads.workerData) for (;;) fail();`,
  );
  const main = `${fail}
    const { Worker } = require('node:worker_threads');
    (async () => {
      for (const endless of [false, true]) {
        const worker = new Worker(WORKER + ${worker}, { eval: true, execArgv: [], workerData: endless });
        console.log(await new Promise((resolve) => worker.once('message', resolve)));
        if (endless) await worker.terminate();
        else await new Promise((resolve) => worker.once('exit', resolve));
        console.log(fail());
      }
    })();`;
  const { code, signal, stdout, stderr } = await runScript(main);
  t.same({ code, signal, stderr }, { code: 0, signal: null, stderr: '' });
  const lines = stdout.trim().split('\n');
  t.equal(lines.length, 4);
  for (const line of lines) t.match(line, /no_such_kind/);
});
