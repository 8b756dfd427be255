// SPDX-License-Identifier: MIT
/** What TypeScript believes about bpf/layout.h is what the compiler made of it, and fits together. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { Btf, layoutOf } from 'libbpf-ts';
import t from 'tap';

import { MSG_CONTROL, MSG_CONTROLLEN, MSG_IOV, MSG_IOVLEN, MSG_LEN } from '../../src/datapath/batch';
import {
  BATCH,
  BATCH_HOOKED,
  CONTROL,
  COUNTERS,
  LARGEST_RECORD,
  LAYOUT_HASH,
  MESSAGE,
  RECORD,
  REFUSALS,
  ROOM_NUMBERED,
  TRACE_RECORD,
  VNET_HDR_BYTES,
} from '../../src/layout';
import { REFUSAL, ROOM_PLAIN } from '../../src/layout.generated';
import { RECORD_VERSION } from '../../src/state/record';
import { STATE_VERSION } from '../../src/state/store';
import { OBJECT } from '../helpers/bad-object';
import { ROOT } from '../helpers/cli';
import { sectionOf } from '../helpers/elf';

const GENERATED = path.join(ROOT, 'src', 'layout.generated.ts');

/** What libbpf-ts makes of the built object. */
function generated(): string {
  const object = fs.readFileSync(OBJECT);
  const section = sectionOf(object, '.BTF');
  return layoutOf(
    new Btf(object.subarray(section.offset, section.offset + section.size), OBJECT),
    path.basename(OBJECT),
  );
}

t.test('the layout is that of the built object', async (t) => {
  t.match(generated(), `LAYOUT_HASH = 0x${LAYOUT_HASH.toString(16).padStart(8, '0')};`);
});

t.test(
  'the file that is checked in is what the generator writes',
  { skip: !fs.existsSync(GENERATED) && 'the sources are not here' },
  async (t) => {
    t.equal(fs.readFileSync(GENERATED, 'utf8'), `// SPDX-License-Identifier: MIT\n${generated()}`);
  },
);

t.test('the version of the state tells the record and the layout apart', async (t) => {
  t.ok(Number.isSafeInteger(STATE_VERSION), 'JSON keeps it');
  t.equal(Math.floor(STATE_VERSION / 2 ** 32), RECORD_VERSION);
  t.equal(STATE_VERSION % 2 ** 32, LAYOUT_HASH);
});

t.test('words of struct control are aligned for single loads and stores', async (t) => {
  const misplaced = Object.entries(CONTROL).filter(
    ([name, offset]) => offset % (['gate', 'armed', 'offering', 'recording', 'snapLen'].includes(name) ? 4 : 8) !== 0,
  );
  t.same(misplaced, []);
});

t.test('struct counters has place for every reason', async (t) => {
  t.ok(REFUSALS.length <= (COUNTERS.stray - COUNTERS.refused) / 8);
  t.same(
    REFUSALS.map((name) => REFUSAL[name]),
    [...REFUSALS.keys()],
    'whose names are in the order of their values',
  );
  t.equal(REFUSALS.length, REFUSAL.reasons);
});

t.test('struct batch is a log and an array of struct mmsghdr', async (t) => {
  t.equal(BATCH.size, BATCH.messages + BATCH.max * BATCH.messageBytes);
  t.equal(BATCH.size % 8, 0, 'so that of the second queue it is aligned, too');
  t.ok(BATCH_HOOKED > BATCH.max, 'the flag is no number of messages');
  const { iov, iovLength, control, controlLength, length, records, dropped, injected, merged } = MESSAGE;
  t.same([iov, iovLength, control, controlLength, length], [MSG_IOV, MSG_IOVLEN, MSG_CONTROL, MSG_CONTROLLEN, MSG_LEN]);
  t.same(
    [records, dropped, injected, merged],
    [12, 52, 60, 60],
    'what is ours is padding: behind msg_namelen, msg_flags and msg_len',
  );
});

t.test('a frame follows its virtio_net_hdr, in the trace ring behind padding', async (t) => {
  t.equal(VNET_HDR_BYTES, 10, 'struct virtio_net_hdr (include/uapi/linux/virtio_net.h)');
  t.equal(RECORD.frame, RECORD.vnet + VNET_HDR_BYTES);
  t.equal(RECORD.size, RECORD.frame);
  t.equal(TRACE_RECORD.frame, TRACE_RECORD.vnet + VNET_HDR_BYTES + 2);
  t.equal(TRACE_RECORD.size, TRACE_RECORD.frame);
  t.equal(ROOM_PLAIN & ROOM_NUMBERED, 0, 'a frame without a number in the room cannot be taken for one that has it');
});

const noSources = !fs.existsSync(path.join(ROOT, 'bpf', 'capture.h')) && 'the sources of the BPF programs are not here';

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
    if (size + RING_HEADER > ((smallest + 104) * 9) / 8)
      wrong.push(`${size}: more than 9/8 of a frame of ${smallest} bytes and 104`);
    if (i > 0 && size <= (sizes[i - 1] as number)) wrong.push(`${size}: not in order`);
  });
  t.same(wrong, []);
  const holds = (mtu: number): number | undefined => sizes.find((size) => size >= mtu + 14 + 4 + RECORD.frame);
  t.ok((holds(1500) as number) <= 1592 && (holds(9000) as number) <= 9080, 'the usual MTUs waste little');
});
