// SPDX-License-Identifier: MIT
/** The file of the frames that the page of `vnet-bpf web` shows: read again by our reader. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { CaptureInput, framesOf } from '../../src/capture/reader';
import { fileNameFor, pcapngOf } from '../../src/web/page/download';
import type { FrameSeen } from '../../src/web/protocol';

const SHOWN = { interface: 'vnet0 in lab', version: '1.2.3', filter: '', missed: 7 };

const frameOf = (number: number, length: number, more: Partial<FrameSeen> = {}): FrameSeen => ({
  number,
  time: 1_780_000_000_000.125 + number,
  length,
  summary: '',
  outcome: 'captured, reinjected after 0.100 ms',
  kind: 'passed',
  took: 0.1,
  bytes: Buffer.alloc(Math.min(256, length), number).toString('base64'),
  ...more,
});

t.test('each frame with its time, its lengths and what became of it', async (t) => {
  const outcome = 'captured, dropped by faults after 0.050 ms; rule 1: icmp: drop';
  const frames = [
    frameOf(3, 61),
    frameOf(4, 1500),
    frameOf(5, 98, { outcome, kind: 'dropped' }),
    frameOf(6, 14, { outcome: 'a \u202e\n b' }),
  ];
  const file = path.join(t.testdir(), 'shown.pcapng');
  fs.writeFileSync(file, pcapngOf(frames, { ...SHOWN, filter: 'icmp' }));
  const read: unknown[] = [];
  const input = CaptureInput.open(file);
  for await (const batch of framesOf(input))
    for (const { time, length, captured, bytes, comments } of batch)
      read.push([time, length, captured, bytes[0], comments[0]]);
  input.close();
  t.same(read, [
    [1_780_000_000_003_125_000n, 61, 61, 3, 'captured, reinjected after 0.100 ms'],
    [1_780_000_000_004_125_000n, 1500, 256, 4, 'captured, reinjected after 0.100 ms'],
    [1_780_000_000_005_125_000n, 98, 98, 5, outcome],
    [1_780_000_000_006_125_000n, 14, 14, 6, 'a \\u202e\\n b'],
  ]);
  const text = Buffer.from(fs.readFileSync(file)).toString('latin1');
  t.match(text, 'vnet-bpf 1.2.3 web');
  t.match(text, '\0icmp');
  t.match(text, '9 frames are not in this file', 'two that are no longer shown, and seven that were left out');
});

t.test('no frames make a file, too; names of interfaces cannot name another place', async (t) => {
  t.equal(pcapngOf([], SHOWN).length % 4, 0);
  t.equal(fileNameFor('vnet0 in lab', [frameOf(0, 60)]), 'vnet0-in-lab-20260528-202640.pcapng');
  t.notMatch(fileNameFor('../../etc', [frameOf(0, 60)]), '/');
});
