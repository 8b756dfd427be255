// SPDX-License-Identifier: MIT
/**
 * Hostile records through judge, segmenter and every accessor: nothing throws, nothing takes long, the ledger balances,
 * and what the hook has seen is what is sent. VNET_BPF_TEST_RECORDS sets how many.
 */
import t from 'tap';

import type { Verdict } from '../../src/hooks/contract';
import { Frame } from '../../src/packet';
import { FakeHookedNic, type Sent } from '../helpers/fake-hooked-nic';
import { RecordFuzzer, type FuzzRecord } from '../helpers/fuzz-records';
import { Random } from '../helpers/random';

const RECORDS = Number(process.env['VNET_BPF_TEST_RECORDS'] ?? 100_000);
const SEED = 17;
/** No record may take longer, whatever else the machine does. */
const RECORD_MS = 2000;
/** How many of a superpacket's pieces are looked at in full. */
const PIECES_LOOKED_AT = 4;

t.setTimeout(300_000);

const gettersOf = new Map<object, string[]>();

/** Reads every field of a view or of the frame itself. */
function readAll(view: object): void {
  const prototype = Object.getPrototypeOf(view) as object;
  let names = gettersOf.get(prototype);
  if (!names) {
    names = [];
    for (let at = prototype; at !== Object.prototype; at = Object.getPrototypeOf(at) as object) {
      for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(at))) if (get) names.push(name);
    }
    gettersOf.set(prototype, names);
  }
  for (const name of names) {
    const value = (view as Record<string, unknown>)[name];
    if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) readAll(value);
  }
}

/** The two bytes of the checksum in the transport header; the kernel fills them in. */
function ownChecksum(frame: Buffer): number {
  const { tcp, udp, icmp, icmpv6 } = Frame.of(frame);
  return tcp ? tcp.offset + 16 : udp ? udp.offset + 6 : ((icmp ?? icmpv6)?.offset ?? -4) + 2;
}

/** Not a superpacket, of which the hook may have been shown the pieces. */
const isWhole = ({ vnet }: Sent): boolean => vnet[1] === 0;

function differs(seen: Uint8Array, { frame }: Sent): boolean {
  if (seen.length !== frame.length) return true;
  if (frame.equals(seen)) return false;
  const except = ownChecksum(frame);
  return frame.some((byte, i) => byte !== seen[i] && i !== except && i !== except + 1);
}

t.test(`${RECORDS} hostile records`, async (t) => {
  const random = new Random(SEED);
  const fuzzer = new RecordFuzzer(random);
  const nic = new FakeHookedNic(1);
  const wrong: string[] = [];
  const note = (what: string, { frame, vnet }: FuzzRecord): void =>
    void (wrong.length < 5 && wrong.push(`${what}: ${vnet.toString('hex')} ${frame.subarray(0, 100).toString('hex')}`));
  let shown: Uint8Array[] = [];
  let pieces = 0;
  let passes = true;
  const frame = (frame: Frame): Verdict => {
    if (++pieces <= PIECES_LOOKED_AT) readAll(frame);
    if (passes && pieces === 1 && random.chance(50)) shown.push(frame.copy());
    return passes
      ? 'pass'
      : random.pick<Verdict>([
          'pass',
          'drop',
          frame.bytes,
          frame.bytes.subarray(0, Math.max(14, frame.length - 7)),
          undefined,
        ]);
  };
  nic.use({ frame });
  let slowest = 0;
  for (let i = 0; i < RECORDS; i++) {
    const record = fuzzer.next();
    if (i % 1000 === 0) nic.use({ frame, whole: random.chance(50) });
    shown = [];
    pieces = 0;
    passes = random.chance(60);
    nic.sent.length = 0;
    nic.put(record.frame, record.vnet);
    const start = performance.now();
    while (nic.counter('drained') <= i) nic.poller.poll();
    slowest = Math.max(slowest, performance.now() - start);
    const [sent] = nic.sent;
    if (passes) {
      if (nic.sent.length !== 1 || !sent) note('not passed as one', record);
      else if (shown[0] && isWhole(sent) && differs(shown[0], sent)) note('not what the hook has seen', record);
    }
    const { in: entered, out } = nic.accounting();
    if (entered !== out) note(`${entered} in, ${out} out`, record);
  }
  t.same(wrong, [], 'each passes as the hook has seen it, and the ledger balances');
  t.same({ errors: nic.counter('hooksErrors'), reports: nic.reports }, { errors: 0, reports: [] }, 'nothing throws');
  t.ok(slowest < RECORD_MS, `the slowest record took ${slowest.toFixed(1)} ms`);
});
