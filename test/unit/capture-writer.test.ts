// SPDX-License-Identifier: MIT
/** The files of a recording: how they follow each other, and what is left where no more can be written. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { newBlock } from '../../src/capture/buffers';
import { NumberedFiles, oneFile, openSink, type OutputFiles, OutputFull } from '../../src/capture/sink';
import { RecordingOutput, WallClock } from '../../src/capture/writer';
import { readRecording } from '../helpers/recording';

const SECTION = { application: 'a', os: 'b', interface: 'vnet0', description: 'c', snapLen: 0 };
const counts = { missed: 0, untold: 0, unmatched: 0 };

const outputTo = (
  files: OutputFiles,
  section: ConstructorParameters<typeof RecordingOutput>[1] = SECTION,
): RecordingOutput =>
  new RecordingOutput(
    files,
    section,
    new WallClock(),
    () => ({ ...counts }),
    ({ missed, unmatched }) => `missed ${missed}, unmatched ${unmatched}`,
  );

/** Each has its number in its bytes. */
async function write(output: RecordingOutput, from: number, to: number, bytes = 1000): Promise<void> {
  for (let i = from; i < to; i++) {
    const block = newBlock(bytes + 8);
    new DataView(block.bytes.buffer).setUint32(8, i);
    await output.packet({ high: 0, low: i, length: bytes, block, at: 8, captured: bytes, comment: 'captured' });
  }
}

const numbersOf = async (file: string): Promise<number[]> =>
  (await readRecording(file)).map(({ bytes }) => bytes.readUInt32BE());

t.test('another file begins before one is too large, and the latest are kept', async (t) => {
  const directory = t.testdir({ 'run-00009.pcapng': 'of somebody else' });
  const files = new NumberedFiles(path.join(directory, 'run.pcapng'), { bytes: 65536, seconds: Infinity, files: 3 });
  const output = outputTo(files);
  await output.begin();
  await write(output, 0, 150);
  Object.assign(counts, { missed: 5, unmatched: 7 });
  await write(output, 150, 300);
  await output.end();
  const names = fs.readdirSync(directory).sort();
  t.same(
    names,
    ['run-00003.pcapng', 'run-00004.pcapng', 'run-00005.pcapng', 'run-00009.pcapng'],
    'and others are left alone',
  );
  t.match(files.words, /^5 files, of which the latest are there: .*run-00003.pcapng to .*run-00005.pcapng$/);
  const all: number[] = [];
  for (const name of names.slice(0, 3)) {
    t.ok(fs.statSync(path.join(directory, name)).size <= 65536, name);
    all.push(...(await numbersOf(path.join(directory, name))));
    t.ok(fs.readFileSync(path.join(directory, name)).subarray(-200).includes('missed'), 'with statistics at its end');
  }
  t.same(
    all,
    Array.from({ length: all.length }, (_, i) => 300 - all.length + i),
    'no frame is missing between them',
  );
  t.equal(output.frames, 300);
});

t.test('by time, and not without frames', async (t) => {
  const directory = t.testdir();
  const output = outputTo(
    new NumberedFiles(path.join(directory, 'run'), { bytes: Infinity, seconds: 0, files: Infinity }),
  );
  await output.begin();
  await output.tick();
  await write(output, 0, 3);
  await output.tick();
  await output.tick();
  await output.end();
  t.same(fs.readdirSync(directory).sort(), ['run-00001', 'run-00002', 'run-00003', 'run-00004']);
  const found = await Promise.all(
    ['run-00001', 'run-00002', 'run-00003', 'run-00004'].map((name) => numbersOf(path.join(directory, name))),
  );
  t.same(found, [[0], [1], [2], []]);
});

t.test('the filter is in the file', async (t) => {
  const file = path.join(t.testdir(), 'run.pcapng');
  const output = outputTo(
    oneFile(() => openSink(file)),
    { ...SECTION, filter: 'tcp port 80' },
  );
  await output.begin();
  await output.end();
  t.ok(fs.readFileSync(file).includes(Buffer.from('\x0b\0\x0c\0\0tcp port 80', 'latin1')));
});

/** In a process whose files may not grow beyond 100 KiB; prints what was thrown. */
const LIMITED = `
const { RecordingOutput } = require(process.argv[1] + '/writer');
const { oneFile } = require(process.argv[1] + '/sink');
const { openSink, OutputFull } = require(process.argv[1] + '/sink');
const { WallClock } = require(process.argv[1] + '/writer');
const { newBlock } = require(process.argv[1] + '/buffers');
const section = { application: 'a', os: 'b', interface: 'vnet0', description: 'c', snapLen: 0 };
const output = new RecordingOutput(oneFile(() => openSink(process.argv[2])), section, new WallClock(), () => ({ missed: 0, untold: 0, unmatched: 0 }), () => 'statistics');
(async () => {
  await output.begin();
  for (let i = 0; i < 1000; i++) {
    const block = newBlock(1008);
    new DataView(block.bytes.buffer).setUint32(8, i);
    await output.packet({ high: 0, low: i, length: 1000, block, at: 8, captured: 1000, comment: 'captured' });
  }
  await output.end();
})().catch(async (error) => {
  if (!(error instanceof OutputFull)) throw error;
  await output.endFull();
  console.error(error.errno + ' ' + output.frames);
});`;

t.test('a file that can take no more is complete', async (t) => {
  const directory = t.testdir();
  const recording = path.dirname(require.resolve('../../src/capture/writer'));
  const loader = recording.includes('dist-test') ? [] : ['-r', 'ts-node/register/transpile-only'];
  for (const [name, target] of [
    ['run.pcapng', path.join(directory, 'run.pcapng')],
    ['stdout.pcapng', '-'],
  ] as const) {
    const file = path.join(directory, name);
    const limited = (limit: string) =>
      spawnSync(
        'bash',
        [
          '-c',
          `ulimit -f ${limit}; out=$1; shift; exec "$@" >$out`,
          'sh',
          target === '-' ? file : '/dev/null',
          process.execPath,
          ...loader,
          '-e',
          LIMITED,
          '--',
          recording,
          target,
        ],
        { encoding: 'utf8' },
      );
    const { stderr } = limited('100');
    const [errno, frames] = stderr.trim().split(' ');
    t.equal(errno, 'EFBIG', stderr);
    const numbers = await numbersOf(file);
    t.ok(numbers.length > 80 && numbers.length <= 100, `${numbers.length} frames`);
    t.same(
      numbers,
      Array.from({ length: Number(frames) }, (_, i) => i),
      'as many as it says, from the first on',
    );
    t.ok(fs.readFileSync(file).subarray(-200).includes('statistics'), 'with statistics at its end');
    t.equal(limited('unlimited').stderr, '', 'and without the limit it is not full');
  }
  t.ok(OutputFull.prototype instanceof Error);
});
