// SPDX-License-Identifier: MIT
// Ring and perf buffers as async iterators.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t from 'tap';

import { BpfObject, type BpfProgram, ctypes, PerfBuffer, ringBatches, ringRecords, TypedRing } from '../src/index';
import { compile, packet, skipUnlessSupported } from './helpers/machine';

const numberOf = (record: Uint8Array): number => Number(Buffer.from(record).readBigUInt64LE());

t.test('streams', { skip: skipUnlessSupported('ringbuf') }, async (t) => {
  using object = BpfObject.open(compile('streams'));
  object.load();
  using toRing = object.program('to_ring');
  using toPerf = object.program('to_perf');
  using ring = object.map('ring');
  using perf = object.map('perf');
  const send = (program: BpfProgram, repeat: number): unknown => program.testRun({ data: packet(), repeat });
  let next = 0;

  await t.test('records of a ring buffer, as they come', async (t) => {
    const ended = new AbortController();
    const seen: number[] = [];
    const reading = (async () => {
      for await (const record of ringRecords(ring, { signal: ended.signal })) seen.push(numberOf(record));
    })();
    await sleep(20);
    t.same(seen, [], 'nothing yet');
    for (let round = 0; round < 5; round++) {
      send(toRing, 3);
      for (const end = Date.now() + 5000; seen.length < 3 * (round + 1) && Date.now() < end;) await sleep(1);
    }
    t.same(
      seen,
      Array.from({ length: 15 }, (_, i) => next + i),
      'all of them, in their order',
    );
    next += 15;
    ended.abort();
    await reading;
    t.pass('the signal ends it');
  });

  await t.test('records of a type', async (t) => {
    send(toRing, 3);
    using typed = new TypedRing(ring, ctypes.u64);
    for await (const number of typed.stream()) {
      t.equal(number, BigInt(next++), 'decoded');
      break;
    }
    using wide = new TypedRing(ring, ctypes.array(ctypes.u64, 2));
    const reading = (async () => {
      for await (const _ of wide.stream()) t.fail('a record that is too short');
    })();
    await t.rejects(reading, { code: 'BPF_VALUE' });
    next++;
    t.same([...typed.records()], [BigInt(next++)], 'the one that was refused is gone');
  });

  await t.test('batches, no larger than the budget, and timers between them', async (t) => {
    send(toRing, 10_000);
    const lengths: number[] = [];
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    let total = 0;
    for await (const batch of ringBatches(ring, { budget: 100 })) {
      lengths.push(batch.length);
      for (const record of batch) if (numberOf(record) !== next + total++) t.fail('the order');
      if (total === 10_000) break;
    }
    clearInterval(timer);
    next += 10_000;
    t.ok(Math.max(...lengths) <= 100);
    t.ok(turns > 1, `${turns} turns of the timer`);
  });

  await t.test('a loop that is left has read what it was given', async (t) => {
    send(toRing, 10);
    for await (const batch of ringBatches(ring, { budget: 3 })) {
      t.same([...batch].map(numberOf), [next, next + 1, next + 2]);
      t.throws(() => batch.at(3), { code: 'BPF_USAGE' });
      break;
    }
    for await (const record of ringRecords(ring)) {
      t.equal(numberOf(record), next + 3);
      break;
    }
    const rest: number[] = [];
    for await (const record of ringRecords(ring)) if (rest.push(numberOf(record)) === 6) break;
    t.same(
      rest,
      Array.from({ length: 6 }, (_, i) => next + 4 + i),
    );
    next += 10;
  });

  await t.test('steps that are asked for before others are done', async (t) => {
    const records = ringRecords(ring, { budget: 2 });
    const steps = Array.from({ length: 5 }, () => records.next());
    send(toRing, 6);
    const seen = (await Promise.all(steps)).map(({ value }) => numberOf(value as Uint8Array));
    t.same(
      seen,
      Array.from({ length: 5 }, (_, i) => next + i),
      'in their order',
    );
    const [last, end, after] = await Promise.all([records.next(), records.return(undefined), records.next()]);
    t.equal(numberOf(last.value as Uint8Array), next + 5);
    t.same(
      [end, after],
      [
        { done: true, value: undefined },
        { done: true, value: undefined },
      ],
      'nothing after the end',
    );
    const again = ringRecords(ring);
    await t.rejects(again.throw(new Error('thrown in')), /thrown in/);
    t.same(await again.next(), { done: true, value: undefined });
    next += 6;
  });

  await t.test('timers have their turn while short leases never end', async (t) => {
    const ended = new AbortController();
    let [seen, turns] = [0, 0];
    const timer = setInterval(() => turns++, 0);
    send(toRing, 10);
    for await (const batch of ringBatches(ring, { budget: 64, signal: ended.signal })) {
      seen += batch.length;
      if (seen < 2000) send(toRing, 10);
      else ended.abort();
    }
    clearInterval(timer);
    t.ok(turns > 1, `${turns} turns of the timer`);
    next += seen;
  });

  await t.test('perf buffer', async (t) => {
    using buffer = new PerfBuffer(perf, { pages: 2 });
    const ended = new AbortController();
    const seen: number[] = [];
    let lost = 0;
    const reading = (async () => {
      for await (const record of buffer.records({ signal: ended.signal })) {
        if (record.data) seen.push(numberOf(record.data));
        else lost += record.lost;
      }
    })();
    await sleep(20);
    send(toPerf, 100);
    for (const end = Date.now() + 5000; seen.length < 100 && Date.now() < end;) await sleep(1);
    t.equal(seen.length, 100);
    t.same(
      seen,
      seen.slice().sort((a, b) => a - b),
      'of one CPU in their order',
    );
    const before = seen.length;
    // 2 pages hold some 340 of them.
    send(toPerf, 10_000);
    send(toPerf, 1);
    for (const end = Date.now() + 5000; seen.length - before + lost < 10_000 && Date.now() < end;) {
      await sleep(1);
      send(toPerf, 1);
    }
    t.ok(lost > 0, `${lost} had no space, and it says so`);
    ended.abort();
    await reading;
    t.throws(() => new PerfBuffer(perf, { pages: 3 }), { code: 'BPF_USAGE', message: /power of two/ });
    t.throws(() => new PerfBuffer(ring), { code: 'BPF_MAP_INCOMPATIBLE' });
  });

  await t.test('neither a process nor a worker is kept from ending', async (t) => {
    const script = `
      const { BpfMap, ringRecords } = require(${JSON.stringify(join(__dirname, '..', 'src', 'index'))});
      const map = BpfMap.create({ type: 27, keySize: 0, valueSize: 0, maxEntries: 4096 });
      (async () => { for await (const _ of ringRecords(map)); })();
    `;
    const preload = ['-r', require.resolve('ts-node/register/transpile-only')];
    const child = spawnSync(process.execPath, [...preload, '-e', `${script}setTimeout(() => process.exit(7), 100)`], {
      timeout: 20_000,
      cwd: join(__dirname, '..'),
    });
    t.equal(child.status, 7, String(child.stderr));
    const worker = new Worker(`${script}require('node:worker_threads').parentPort.postMessage('waits')`, {
      eval: true,
      execArgv: preload,
    });
    await new Promise((resolve) => worker.once('message', resolve));
    await sleep(50);
    await worker.terminate();
    t.pass('terminate() returns');
  });
});
