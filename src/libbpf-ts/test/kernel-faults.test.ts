// SPDX-License-Identifier: MIT
// Signals during a load, many programs, workers that wait or are terminated, and maps that nobody closes.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';

import { BpfObject, VerifierError } from '../src/index';
import { compile, compileText, skipUnlessRoot } from './helpers/machine';
import { firstMessage, runScript, startWorker } from './helpers/script';

/** A program for whose verification the kernel needs a good part of a second. */
const SLOW = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("tc") int slow(struct __sk_buff *skb)
{
	__u64 sum = 0;
	for (__u32 i = 0; i < 60000; i++) {
		sum += bpf_get_prandom_u32();
		asm volatile("" : "+r"(sum), "+r"(i));
	}
	return sum;
}
char _license[] SEC("license") = "GPL";`;

const many = (count: number): string => `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#define PROGRAM(n) SEC("tc") int program_##n(struct __sk_buff *skb) { return ${'n'}; }
${Array.from({ length: count }, (_, n) => `PROGRAM(${n})`).join('\n')}
SEC("tc") int refused(struct __sk_buff *skb) { return *(volatile int *)(long)bpf_get_prandom_u32(); }
char _license[] SEC("license") = "GPL";`;

t.test('a profiler sends hundreds of signals a second', { skip: skipUnlessRoot }, async (t) => {
  const path = compileText('slow', SLOW);
  const directory = dirname(path);
  const script = `
    for (let i = 0; i < 3; i++) {
      const object = ts.BpfObject.open(${JSON.stringify(path)});
      object.load();
      object.close();
    }
    console.log('loaded');`;
  const node = ['--cpu-prof', '--cpu-prof-interval', '200', '--cpu-prof-dir', directory];
  const { stdout, stderr } = await runScript(script, { node });
  t.same({ stdout, stderr }, { stdout: 'loaded\n', stderr: '' });
});

t.test('the signals are delivered after the load', { skip: skipUnlessRoot }, async (t) => {
  const script = `
    let seen = 0;
    process.on('SIGUSR2', () => seen++);
    const { spawn } = require('node:child_process');
    const sender = spawn('sh', ['-c', 'while kill -USR2 ' + process.pid + '; do :; done 2>/dev/null'], { stdio: 'ignore' });
    sender.once('spawn', () => setTimeout(() => {
      for (let i = 0; i < 3; i++) {
        const object = ts.BpfObject.open(${JSON.stringify(compileText('slow', SLOW))});
        object.load();
        object.close();
      }
      setTimeout(() => {
        sender.kill('SIGKILL');
        console.log(seen > 0 ? 'loaded, signals seen' : 'no signal');
      }, 100);
    }, 50));`;
  const { stdout, stderr } = await runScript(script);
  t.same({ stdout, stderr }, { stdout: 'loaded, signals seen\n', stderr: '' });
});

t.test('hundreds of programs', { skip: skipUnlessRoot }, async (t) => {
  const path = compileText('many', many(300));
  const addressSpace = (): number =>
    Number(/^VmSize:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1'))![1]);
  const cycle = (): void => {
    using object = BpfObject.open(path);
    object.setAutoload('refused', false);
    object.load();
    using program = object.program('program_299');
    t.equal(program.testRun({ data: new Uint8Array(64) }).retval, 299);
  };
  cycle();
  const before = addressSpace();
  for (let i = 0; i < 4; i++) cycle();
  t.ok(addressSpace() - before < 16 * 1024, 'the buffers of the logs are gone at once');
  using object = BpfObject.open(path);
  try {
    object.load();
    t.fail('was loaded');
  } catch (error) {
    t.match(error, { code: 'BPF_VERIFIER', program: 'refused' });
    t.match((error as VerifierError).log, /scalar|inv/);
  }
});

t.test('a worker that waits for ever', { skip: skipUnlessRoot }, async (t) => {
  const wait = `threads.parentPort.postMessage('waits'); new ts.RingWaiter().wait(-1);`;
  const worker = startWorker(wait);
  t.equal(await firstMessage(worker), 'waits');
  await sleep(50);
  const begun = performance.now();
  await worker.terminate();
  t.ok(performance.now() - begun < 2000, 'is terminated');

  const script = `
    const { Worker } = require('node:worker_threads');
    const worker = new Worker(WORKER + ${JSON.stringify(wait)}, { eval: true, execArgv: [] });
    worker.once('message', () => setTimeout(() => process.exit(7), 50));`;
  t.match(await runScript(script, { within: 10_000 }), { code: 7, signal: null });
});

t.test('a terminated worker leaves no descriptor', { skip: skipUnlessRoot }, async (t) => {
  const path = compile('basic');
  const script = `
    const kept = [];
    for (let i = 0; i < 3; i++) {
      const object = ts.BpfObject.open(threads.workerData);
      object.load();
      for (const name of object.mapNames) kept.push(object.map(name));
      for (const name of object.programNames) kept.push(object.program(name));
      kept.push(new ts.RingWaiter(object.map('ring')));
      kept.push(ts.BpfMap.create({ type: 1, keySize: 4, valueSize: 4, maxEntries: 1 }));
      if (i === 0) object.close();
    }
    // Some of them are closed as usual.
    kept.pop().close();
    threads.parentPort.postMessage(kept.length);
    setInterval(() => kept, 1000);`;
  const count = (): number => readdirSync('/proc/self/fd').length;
  const cycle = async (): Promise<void> => {
    const worker = startWorker(script, path);
    worker.on('error', (error) => t.fail(String(error)));
    t.equal(await firstMessage(worker), 29);
    await worker.terminate();
  };
  // The objects that the worker has left are closed when the next one is opened.
  const open = (): void => BpfObject.open(path).close();
  await cycle();
  open();
  const before = count();
  for (let i = 0; i < 3; i++) await cycle();
  open();
  t.equal(count(), before);
});

t.test('what nobody closes is closed when it is collected, with a warning', { skip: skipUnlessRoot }, async (t) => {
  const script = `
    const { readdirSync } = require('node:fs');
    const count = () => readdirSync('/proc/self/fd').length;
    const create = () => ts.BpfMap.create({ type: 1, keySize: 4, valueSize: 4, maxEntries: 1, name: 'forgotten' });
    create().close();
    const before = count();
    (() => { for (let i = 0; i < 20; i++) create(); })();
    const end = Date.now() + 10_000;
    (function look() {
      gc();
      // The stack may hold the last one.
      if (count() > before + 1 && Date.now() < end) return void setTimeout(look, 10);
      console.log(count() - before <= 1 ? 'closed' : 'open');
    })();`;
  const { stdout, stderr } = await runScript(script, { node: ['--expose-gc'] });
  t.equal(stdout, 'closed\n');
  t.equal(stderr.match(/LIBBPF_TS_NOT_CLOSED/g)?.length, 1, 'once');
  t.match(stderr, /\[LIBBPF_TS_NOT_CLOSED\] LibbpfTsWarning: map forgotten was garbage-collected before it was closed/);
});

t.test('an object whose names hide something', { skip: skipUnlessRoot }, async (t) => {
  const path = compile('unknown-section');
  const image = readFileSync(path);
  for (let at = 0; (at = image.indexOf('no_such_kind\0', at)) >= 0; at++) image.write('no\x1b[31m\nkind', at, 'latin1');
  const changed = join(dirname(path), 'changed.bpf.o');
  writeFileSync(changed, image);
  using object = BpfObject.open(changed);
  t.throws(() => object.load(), { message: /no\\x1b\[31m\\x0akind/ });
  t.throws(() => object.map('x'.repeat(100_000)), { message: /^no map is named "x{127}\u2026"; there is no map$/ });
});
