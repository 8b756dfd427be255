// SPDX-License-Identifier: MIT
/** What TypeScript believes about bpf/layout.h is what the compiler made of it. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { Btf } from 'libbpf-ts';
import t from 'tap';

import { BATCH, CONTROL, COUNTERS, LARGEST_RECORD, MERGED_MARK, QUEUES_MAX, RECORD, REFUSALS, ROOM_NUMBERED, VNET_HDR_BYTES } from '../../src/layout';
import { OBJECT } from '../helpers/bad-object';
import { ROOT } from '../helpers/cli';
import { sectionOf } from '../helpers/elf';

const object = fs.readFileSync(OBJECT);
const section = sectionOf(object, '.BTF');
const btf = new Btf(object.subarray(section.offset, section.offset + section.size), OBJECT);

/** tx_packets as txPackets; `pad0` and the like are left out. */
function offsetsOf(struct: string): Record<string, number> {
  const { members, size } = btf.struct(struct);
  const named = members.filter(({ name }) => !/^pad\d*$|^reserved$/.test(name));
  const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return { ...Object.fromEntries(named.map(({ name, offsetBytes }) => [camel(name), offsetBytes])), size };
}

t.test('struct control: every member, at its place', async (t) => {
  t.same(offsetsOf('control'), CONTROL);
  const misplaced = Object.entries(CONTROL).filter(([name, offset]) => offset % (['gate', 'armed', 'recording', 'snapLen'].includes(name) ? 4 : 8) !== 0);
  t.same(misplaced, [], 'all are aligned for single loads and stores');
});

t.test('struct counters', async (t) => {
  t.same(offsetsOf('counters'), COUNTERS);
  t.ok(REFUSALS.length <= (COUNTERS.stray - COUNTERS.refused) / 8, 'there is place for every reason');
});

t.test('struct batch: the log and its messages', async (t) => {
  const { messages: _, max, messageBytes, size: bytes, ...rest } = BATCH;
  const { size, ...offsets } = offsetsOf('batch');
  t.same(offsets, { ...rest, messages: BATCH.messages });
  const messages = btf.struct('batch').members.find(({ name }) => name === 'messages');
  const array = btf.resolve(messages?.type as number);
  t.equal(array.length, max);
  t.equal(btf.sizeOf(array.element), messageBytes);
  t.equal(size, BATCH.messages + max * messageBytes);
  t.equal(bytes, size);
  t.equal(bytes % 8, 0, 'so that of the second queue it is aligned, too');
});

/** `#define NAME number` in the headers that BTF does not keep. */
function defined(header: string, name: string): number {
  const value = new RegExp(`^#define ${name} (0x[\\da-f]+|\\d+)`, 'm').exec(fs.readFileSync(path.join(ROOT, 'bpf', header), 'utf8'))?.[1];
  if (value === undefined) throw new Error(`${header} does not define ${name}`);
  return Number(value);
}

const sources = fs.existsSync(path.join(ROOT, 'bpf', 'layout.h'));

const noSources = !sources && 'the sources of the BPF programs are not here';

t.test('enum refusal, which BTF does not keep: names and indexes', { skip: noSources }, async (t) => {
  const text = fs.readFileSync(path.join(ROOT, 'bpf', 'layout.h'), 'utf8');
  const names = /enum refusal \{([^}]*)\}/.exec(text)?.[1]?.match(/REFUSED_\w+/g);
  t.same(names, [...REFUSALS.map((name) => `REFUSED_${name.toUpperCase()}`), 'REFUSED_REASONS']);
});

t.test('struct record, which BTF does not keep: from the source', { skip: noSources }, async (t) => {
  const text = fs.readFileSync(path.join(ROOT, 'bpf', 'layout.h'), 'utf8');
  const bytesOf = (struct: string): number =>
    (new RegExp(`struct ${struct} \\{([^}]*)\\}`).exec(text)?.[1]?.match(/__u(\d+)|struct vnet_hdr/g) ?? [])
      .map((type) => (type === 'struct vnet_hdr' ? VNET_HDR_BYTES : Number(type.slice(3)) / 8))
      .reduce((sum, bytes) => sum + bytes, 0);
  t.equal(bytesOf('vnet_hdr'), VNET_HDR_BYTES);
  t.equal(bytesOf('record'), RECORD.frame, 'the frame follows the record');
  t.equal(RECORD.vnet + VNET_HDR_BYTES, RECORD.frame, 'with its virtio_net_hdr right before it');
  t.equal(defined('capture.h', 'LARGEST_RECORD'), LARGEST_RECORD);
  t.equal(defined('layout.h', 'BATCH_MAX'), BATCH.max);
  t.equal(defined('layout.h', 'QUEUES_MAX'), QUEUES_MAX);
  t.equal(defined('layout.h', 'MERGED_MARK'), MERGED_MARK);
  t.equal(defined('layout.h', 'ROOM_NUMBERED'), ROOM_NUMBERED);
  t.equal(defined('layout.h', 'ROOM_PLAIN') & ROOM_NUMBERED, 0, 'a frame without a number in the room cannot be taken for one that has it');
});

t.test('record sizes keep what the credit of the waiting room counts on', { skip: noSources }, async (t) => {
  const text = fs.readFileSync(path.join(ROOT, 'bpf', 'capture.h'), 'utf8');
  const list = /#define RECORD_SIZES\(SIZE\)((?:.*\\\n)*.*)/.exec(text)?.[1] ?? '';
  const sizes = [...list.matchAll(/SIZE\((\d+)\)/g)].map((match) => Number(match[1]));
  t.equal(sizes.at(-1), LARGEST_RECORD);
  const RING_HEADER = 8;
  const wrong: string[] = [];
  sizes.forEach((size, i) => {
    const smallest = i === 0 ? 14 : (sizes[i - 1] as number) + 1 - RECORD.frame; // frame that needs this size
    if ((size + RING_HEADER) % 64 !== 0) wrong.push(`${size}: not whole cache lines`);
    if (size + RING_HEADER > ((smallest + 104) * 9) / 8) wrong.push(`${size}: more than 9/8 of a frame of ${smallest} bytes and 104`);
    if (i > 0 && size <= (sizes[i - 1] as number)) wrong.push(`${size}: not in order`);
  });
  t.same(wrong, []);
  const holds = (mtu: number): number | undefined => sizes.find((size) => size >= mtu + 14 + 4 + RECORD.frame);
  t.ok((holds(1500) as number) <= 1592 && (holds(9000) as number) <= 9080, 'the usual MTUs waste little');
});
