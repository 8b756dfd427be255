// SPDX-License-Identifier: MIT
/** The hooked poller with a ring and a socket that are made up; see fake-nic.ts. */
import { RingReader, type MappedMemory } from 'libbpf-ts';

import { Batch, MSG_LEN } from '../../src/datapath/batch';
import type { FarEnd } from '../../src/datapath/packet-socket';
import { Poller } from '../../src/datapath/poller';
import { QueueGate } from '../../src/datapath/queue-gate';
import { countLostWaiting, recoverBatch } from '../../src/datapath/recovery';
import { increment, SharedWords } from '../../src/datapath/shared-memory';
import type { Hook } from '../../src/hooks/contract';
import { newVitals } from '../../src/hooks/event-loop';
import { HookedPoller } from '../../src/hooks/hooked-poller';
import { HookHost, Injections } from '../../src/hooks/host';
import { Judge } from '../../src/hooks/judge';
import type { LoadedHook } from '../../src/hooks/load';
import { Arena, ARENA_BYTES, Plan } from '../../src/hooks/plan';
import { WaitingFrames } from '../../src/hooks/waiting';
import { BATCH, CONTROL, RECORD, VNET_HDR_BYTES } from '../../src/layout';
import { FakeRing } from '../../src/libbpf-ts/test/helpers/fake-ring';
import { roomFrameMax } from '../../src/link/credit';
import { DEFAULTS, pollOptionsOf } from '../../src/options/attach-options';
import type { Answer } from './fake-nic';

const BATCH_ADDRESS = 0x7f01_2345_6000;
const IOVEC_ADDRESS = 0x7f02_3456_7000;
const DATA_ADDRESS = 0x7f03_4567_8000;
const ARENA_ADDRESS = 0x7f04_5678_9000;
/** Memory for frames that wait: less than there really is, because much memory takes long to set up. */
const WAITING_BYTES = 2 << 20;
const RING_BYTES = 1 << 20;

export interface Sent {
  vnet: Buffer;
  frame: Buffer;
}

/** The virtio_net_hdr of a complete frame. */
export const PLAIN = Buffer.alloc(VNET_HDR_BYTES);

export class FakeHookedNic {
  readonly ring = new FakeRing(RING_BYTES);
  readonly control = new SharedWords(new SharedArrayBuffer(CONTROL.size), 0, CONTROL.size);
  readonly injections = new Injections();
  waiting = new WaitingFrames(WAITING_BYTES);
  readonly reports: string[] = [];
  /** Times in milliseconds for which the carrier was to be taken away. */
  readonly carrierLosses: number[] = [];
  readonly vitals = newVitals();
  deadly: readonly number[] = [];
  readonly host: HookHost;
  readonly sent: Sent[] = [];
  answers: Answer[] = [];
  farEnd: FarEnd | null = null;
  poller: HookedPoller;
  private readonly batchMemory = new ArrayBuffer(BATCH.messages + BATCH.max * BATCH.messageBytes);
  private readonly iovecMemory = new ArrayBuffer(2 * BATCH.max * 16);
  private readonly arenaMemory = new ArrayBuffer(ARENA_BYTES);
  readonly log = new SharedWords(this.batchMemory, 0, this.batchMemory.byteLength);

  constructor(readonly budget = 64) {
    this.host = new HookHost({
      interface: 'vnet0',
      mac: '02:00:00:00:00:01',
      injections: this.injections,
      count: () => increment(this.control, CONTROL.hooksErrors),
      report: (text) => this.reports.push(text),
      log: (text) => this.reports.push(text),
      wake: () => undefined,
      hasten: (ticket) => this.waiting.hasten(ticket),
      loseCarrier: (ms) => this.carrierLosses.push(ms),
      noteFault: (rule) => this.poller.noteFault(rule),
      move: (ticket, due) => (due === Infinity ? this.waiting.discard(ticket) : this.waiting.move(ticket, due)),
    });
    this.poller = this.newPoller();
  }

  use(hook: Partial<LoadedHook> & Pick<Hook, 'frame'>): this {
    this.host.use({
      name: 'test',
      file: '/hooks/test.js',
      place: '/hooks/test.js:1',
      whole: false,
      start: undefined,
      stop: undefined,
      ...hook,
    });
    return this;
  }

  /**
   * The poller of a new process, after recovery from the batch that the last one left. `waitingBytes`: memory for
   * frames that wait.
   */
  newPoller(waitingBytes = WAITING_BYTES): HookedPoller {
    const reader = new RingReader(this.ring);
    recoverBatch({ log: this.log, control: this.control, ring: reader });
    countLostWaiting(this.control);
    this.waiting = new WaitingFrames(waitingBytes);
    const memory = (address: number, buffer: ArrayBuffer): MappedMemory =>
      ({ address, buffer, length: buffer.byteLength }) as unknown as MappedMemory;
    const arena = new Arena(memory(ARENA_ADDRESS, this.arenaMemory));
    const plan = new Plan();
    const judge = new Judge(new Uint8Array(this.ring.data), DATA_ADDRESS, arena, plan, this.host, this.waiting);
    const limits = {
      ringBytes: RING_BYTES,
      frameMax: roomFrameMax(64 << 10),
      queuePackets: 0,
      lowWatermarkBytes: RING_BYTES / 2,
      lowWatermarkPackets: Infinity,
    };
    const batch = new Batch(
      memory(BATCH_ADDRESS, this.batchMemory),
      memory(IOVEC_ADDRESS, this.iovecMemory),
      BATCH.max,
    );
    const gate = new QueueGate(this.control, reader, limits, null);
    const parts = {
      options: { ...pollOptionsOf(DEFAULTS), budget: this.budget },
      ring: reader,
      control: this.control,
      batch,
      sender: { send: (address: number, count: number) => this.send(address, count) },
      gate,
      data: new Uint8Array(this.ring.data),
      dataAddress: DATA_ADDRESS,
      farEnd: this.farEnd,
    };
    return (this.poller = new HookedPoller({
      ...parts,
      plain: new Poller({ ...parts, gro: null, delivered: () => null }),
      host: this.host,
      arena,
      plan,
      judge,
      injections: this.injections,
      waiting: this.waiting,
      vitals: this.vitals,
      deadly: this.deadly,
    }));
  }

  /** Puts a frame into the ring as `tx` does. */
  put(frame: Uint8Array, vnet: Uint8Array = PLAIN): void {
    const record = Buffer.alloc(RECORD.frame + frame.length);
    record.writeUInt32LE(frame.length, RECORD.frameLen);
    record.set(vnet, RECORD.vnet);
    record.set(frame, RECORD.frame);
    if (this.ring.produce(record, 'ready') === undefined) throw new Error('the ring is too small for this test');
    increment(this.control, CONTROL.captured);
  }

  counter(name: keyof typeof CONTROL): number {
    return this.control.get64(CONTROL[name]);
  }

  /** Frames that wait, as the counters say. */
  get waits(): number {
    return this.counter('hooksDelayed') - this.counter('hooksReleased') - this.counter('hooksLost');
  }

  /** Both sides of the frame accounting. */
  accounting(): { in: number; out: number } {
    const refused = (['refusedToolong', 'refusedInvalid', 'refusedDown', 'refusedError'] as const).reduce(
      (sum, name) => sum + this.counter(name),
      0,
    );
    const queue = this.counter('captured') - this.counter('drained');
    return {
      in: this.counter('captured') + this.counter('hooksInjected'),
      out:
        this.counter('rxPackets') +
        queue +
        refused +
        this.counter('hooksDropped') +
        this.waits +
        this.counter('hooksLost'),
    };
  }

  private send(address: number, count: number): number {
    const answer = this.answers.shift() ?? 'all';
    if (Number.isNaN(answer)) throw new Error('killed');
    const taken = answer === 'all' ? count : Math.min(answer, count);
    for (let i = 0; i < taken; i++) {
      const message = address - BATCH_ADDRESS + i * BATCH.messageBytes;
      const iovec = new DataView(this.iovecMemory, this.log.get64(message + 16) - IOVEC_ADDRESS, 16);
      const bytes = this.read(Number(iovec.getBigUint64(0, true)), Number(iovec.getBigUint64(8, true)));
      this.sent.push({ vnet: bytes.subarray(0, VNET_HDR_BYTES), frame: bytes.subarray(VNET_HDR_BYTES) });
      this.log.set32(message + MSG_LEN, bytes.length);
    }
    return taken;
  }

  private read(address: number, bytes: number): Buffer {
    const [base, memory] =
      address >= ARENA_ADDRESS ? [ARENA_ADDRESS, this.arenaMemory] : [DATA_ADDRESS, this.ring.data];
    return Buffer.from(Buffer.from(memory, address - base, bytes));
  }
}
