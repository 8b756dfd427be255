// SPDX-License-Identifier: MIT
/**
 * Throughput of a ring buffer's async iterators, against the same loop with the reader that blocks its thread.
 *
 * Pairs of readers that give the same: records in place, and copies. Each is measured twice: with a ring that is full,
 * and while another thread fills it without a pause. The rounds of a pair alternate; LIBBPF_TS_ROUNDS of them (15), each
 * of a million records. Not a test of tap's, whose hooks make each promise slow; as root:
 *
 *     node dist-test/src/libbpf-ts/test/bench/ring-streams.js
 *
 * What counts is the ratio of the medians, and that the iterator reads a million records a second.
 */
import { isMainThread, Worker, workerData } from 'node:worker_threads';

import { type BpfMap, BpfObject, BpfProgram, ringBatches, RingBuffer, ringRecords, RingWaiter } from '../../src/index';
import { compile, packet } from '../helpers/machine';

const ROUNDS = Number(process.env['LIBBPF_TS_ROUNDS'] ?? 15);
const RECORDS = 1_000_000;
/** Bytes: a record of 8 has a header of 8. */
const RING = 32 * 1024 * 1024;
const BUDGET = 1024;
const LEAST_RATIO = 0.8;
const LEAST_RATE = 1_000_000;

/** Reads this number of records; the sum is what a program does with them. */
type Reading = (map: BpfMap, records: number) => number | Promise<number>;

function blocking(take: (data: Uint8Array, from: number, to: number) => Uint8Array): Reading {
  return (map, records) => {
    using ring = new RingBuffer(map, { capacity: BUDGET });
    using waiter = new RingWaiter(map);
    const { reader, data } = ring;
    let sum = 0;
    for (let read = 0; read < records;) {
      const length = reader.lease(BUDGET);
      for (let i = 0; i < length; i++) {
        const offset = reader.offsets[i]!;
        sum += take(data, offset, offset + reader.lengths[i]!)[0]!;
      }
      reader.commit(length);
      read += length;
      if (length === 0 && reader.isEmpty()) waiter.wait(1000);
    }
    return sum;
  };
}

const inBatches: Reading = async (map, records) => {
  let [sum, read] = [0, 0];
  for await (const batch of ringBatches(map, { budget: BUDGET })) {
    for (const record of batch) sum += record[0]!;
    read += batch.length;
    if (read >= records) break;
  }
  return sum;
};

const oneByOne: Reading = async (map, records) => {
  let [sum, read] = [0, 0];
  for await (const record of ringRecords(map, { budget: BUDGET })) {
    sum += record[0]!;
    if (++read >= records) break;
  }
  return sum;
};

const PAIRS: readonly [string, Reading, Reading][] = [
  ['records in place: ringBatches()', inBatches, blocking((data, from, to) => data.subarray(from, to))],
  ['copies: ringRecords()', oneByOne, blocking((data, from, to) => data.slice(from, to))],
];

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** Runs the program again and again until the flag is set. */
function produce({ fd, flag }: { fd: number; flag: Int32Array }): void {
  using program = BpfProgram.fromFd(fd, 'to_ring');
  while (Atomics.load(flag, 0) === 0) program.testRun({ data: packet(), repeat: 10_000 });
}

async function recordsPerSecond(map: BpfMap, reading: Reading): Promise<number> {
  const start = performance.now();
  await reading(map, RECORDS);
  return (RECORDS / (performance.now() - start)) * 1000;
}

/** Compares a pair. @returns whether the iterator is fast enough */
async function compare(
  map: BpfMap,
  title: string,
  readings: readonly Reading[],
  before: () => unknown,
): Promise<boolean> {
  const rates: number[][] = readings.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const at of round % 2 === 0 ? [0, 1] : [1, 0]) {
      before();
      rates[at]!.push(await recordsPerSecond(map, readings[at]!));
    }
  }
  const [stream, block] = rates.map(median) as [number, number];
  const millions = (rate: number): string => (rate / 1e6).toFixed(2);
  const ratio = stream / block;
  console.log(
    `${title}: ${millions(stream)} million records/s, blocking ${millions(block)}; ratio ${ratio.toFixed(3)}`,
  );
  return ratio >= LEAST_RATIO && stream >= LEAST_RATE;
}

async function benchmark(): Promise<boolean> {
  using object = BpfObject.open(compile('streams'));
  object.setMaxEntries('ring', RING);
  object.load();
  using program = object.program('to_ring');
  using map = object.map('ring');
  const fill = (): unknown => program.testRun({ data: packet(), repeat: RING / 16 });
  const verdicts: boolean[] = [];
  for (const [name, stream, block] of PAIRS) {
    verdicts.push(await compare(map, `${name}, from a full ring`, [stream, block], fill));
  }
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(__filename, { workerData: { fd: program.fd, flag } });
  for (const [name, stream, block] of PAIRS) {
    verdicts.push(await compare(map, `${name}, while it is filled`, [stream, block], () => undefined));
  }
  Atomics.store(flag, 0, 1);
  await new Promise((resolve) => worker.once('exit', resolve));
  return !verdicts.includes(false);
}

if (isMainThread) void benchmark().then((fast) => (process.exitCode = fast ? 0 : 1));
else produce(workerData as Parameters<typeof produce>[0]);
