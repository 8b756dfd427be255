// SPDX-License-Identifier: MIT
/**
 * The poller with a fake ring and a fake socket: frames are put into the ring as `tx` does, and sent as sendmmsg does,
 * from memory with made-up addresses.
 */
import { RingReader, type MappedMemory } from 'libbpf-ts';

import { Batch, iovecBytes, MSG_CONTROL, MSG_CONTROLLEN, MSG_LEN } from '../../src/datapath/batch';
import { Gro, groHeaderBytes } from '../../src/datapath/gro';
import type { FarEnd } from '../../src/datapath/packet-socket';
import { Poller } from '../../src/datapath/poller';
import { QueueGate, type GateLimits } from '../../src/datapath/queue-gate';
import { SharedWords } from '../../src/datapath/shared-memory';
import { BATCH, CONTROL, RECORD } from '../../src/layout';
import { FakeRing, type RecordState } from '../../src/libbpf-ts/test/helpers/fake-ring';
import { type Room, roomFrameMax } from '../../src/link/credit';
import { DEFAULTS, pollOptionsOf } from '../../src/options/attach-options';

/** Beyond 2^32, as real ones are. */
const BATCH_ADDRESS = 0x7f01_2345_6000;
const IOVEC_ADDRESS = 0x7f02_3456_7000;
const DATA_ADDRESS = 0x7f03_4567_8000;
const HEADERS_ADDRESS = 0x7f05_6789_a000;
const IOVEC_BYTES = 16;
const SOL_SOCKET = 1;
const SO_MARK = 36;

export interface FakeNicOptions {
  budget?: number;
  ringBytes?: number;
  limits?: Partial<GateLimits>;
  room?: Room;
  gro?: boolean;
  /** Whether merged packets are to be segmented again. */
  resegment?: boolean;
  farEnd?: FarEnd;
}

/** The result of one sendmmsg: a number of messages or a negative errno; `all` takes everything. */
export type Answer = number | 'all';

export class FakeNic {
  readonly ring: FakeRing;
  readonly reader: RingReader;
  readonly control: SharedWords;
  readonly batchWords: SharedWords;
  gate: QueueGate;
  readonly budget: number;
  /** What the socket took, in order. */
  readonly sent: string[] = [];
  /** The same with their virtio_net_hdr. */
  readonly packets: Buffer[] = [];
  /** The skb->mark that a control message gave each of them, or null. */
  readonly marks: (number | null)[] = [];
  /** The results of the next calls of sendmmsg; after the last one, `all`. */
  answers: Answer[] = [];
  calls = 0;
  poller: Poller;
  /** A gate of another poller, as after a crash. */
  readonly newGate: () => QueueGate;
  private readonly batchMemory = new ArrayBuffer(BATCH.messages + BATCH.max * BATCH.messageBytes);
  private readonly iovecMemory: ArrayBuffer;
  private readonly headerMemory: ArrayBuffer;
  private readonly gro: boolean;
  private readonly resegment: boolean;
  /** The state of vnet0 as the poller sees it; null: unknown. */
  readonly farEnd: FarEnd | null;
  /**
   * Number of frames that the socket's interface has transmitted, with merged packets segmented. The test counts those
   * of messages that failed.
   */
  delivered = 0;

  constructor({
    budget = 4,
    ringBytes = 4096,
    limits = {},
    room,
    gro = false,
    resegment = true,
    farEnd,
  }: FakeNicOptions = {}) {
    this.budget = budget;
    this.ring = new FakeRing(ringBytes);
    this.reader = new RingReader(this.ring);
    this.control = new SharedWords(new SharedArrayBuffer(CONTROL.size), 0, CONTROL.size);
    this.batchWords = new SharedWords(this.batchMemory, 0, this.batchMemory.byteLength);
    this.iovecMemory = new ArrayBuffer(iovecBytes(budget));
    this.headerMemory = new ArrayBuffer(groHeaderBytes(budget));
    this.gro = gro;
    this.resegment = resegment;
    this.farEnd = farEnd ?? null;
    const all = {
      ringBytes,
      frameMax: roomFrameMax(64 << 10),
      queuePackets: 0,
      lowWatermarkBytes: ringBytes / 2,
      lowWatermarkPackets: Infinity,
      ...limits,
    };
    this.newGate = () => (this.gate = new QueueGate(this.control, this.reader, all, room ?? null));
    this.gate = this.newGate();
    this.poller = this.newPoller();
  }

  /** A poller that begins where, according to the counters, the last one ended, as after a crash. */
  newPoller(ring = this.reader): Poller {
    const memory = (address: number, buffer: ArrayBuffer): MappedMemory =>
      ({ address, buffer, length: buffer.byteLength }) as unknown as MappedMemory;
    return (this.poller = new Poller({
      options: { ...pollOptionsOf(DEFAULTS), budget: this.budget },
      ring,
      data: new Uint8Array(this.ring.data),
      dataAddress: DATA_ADDRESS,
      control: this.control,
      batch: new Batch(memory(BATCH_ADDRESS, this.batchMemory), memory(IOVEC_ADDRESS, this.iovecMemory), this.budget),
      sender: { send: (address, count) => this.send(address, count) },
      gate: this.gate,
      gro: this.gro
        ? new Gro(new Uint8Array(this.ring.data), memory(HEADERS_ADDRESS, this.headerMemory), this.resegment)
        : null,
      delivered: () => this.delivered,
      farEnd: this.farEnd,
    }));
  }

  /** Puts a frame into the ring; returns false if there is no space. */
  put(frame: string | Buffer, state: RecordState = 'ready', vnetHeader = 'virtio-hdr'): boolean {
    const record = Buffer.alloc(RECORD.frame + frame.length);
    record.writeUInt32LE(frame.length, RECORD.frameLen);
    record.write(vnetHeader, RECORD.vnet, 'latin1');
    Buffer.from(frame as string, 'latin1').copy(record, RECORD.frame);
    if (this.ring.produce(record, state) === undefined) return false;
    if (state !== 'discarded') this.control.set64(CONTROL.captured, this.control.get64(CONTROL.captured) + 1);
    return true;
  }

  counter(name: keyof typeof CONTROL): number {
    return this.control.get64(CONTROL[name]);
  }

  /** sendmmsg: takes as many messages as the next result says, and sets their msg_len, as the kernel does. */
  private send(address: number, count: number): number {
    this.calls++;
    const answer = this.answers.shift() ?? 'all';
    const taken = answer === 'all' ? count : answer;
    for (let i = 0; i < taken; i++) {
      const message = address - BATCH_ADDRESS + i * BATCH.messageBytes;
      const packet = this.gather(
        this.batchWords.get64(message + 16) - IOVEC_ADDRESS,
        this.batchWords.get64(message + 24),
      );
      this.packets.push(packet);
      this.marks.push(this.markOf(message));
      this.sent.push(packet.toString('latin1', 'virtio-hdr'.length));
      this.delivered += this.batchWords.get32(message + MSG_LEN + 4) & 0xffff;
      this.batchWords.set32(message + MSG_LEN, packet.length);
    }
    return taken;
  }

  /** Reads the mark as sock_cmsg_send does. */
  private markOf(message: number): number | null {
    if (this.batchWords.get64(message + MSG_CONTROLLEN) === 0) return null;
    const control = new DataView(
      this.headerMemory,
      this.batchWords.get64(message + MSG_CONTROL) - HEADERS_ADDRESS,
      this.batchWords.get64(message + MSG_CONTROLLEN),
    );
    const [length, level, type] = [
      control.getBigUint64(0, true),
      control.getInt32(8, true),
      control.getInt32(12, true),
    ];
    if (length !== 20n || level !== SOL_SOCKET || type !== SO_MARK)
      throw new Error(`a control message of ${length} bytes, level ${level}, type ${type}`);
    return control.getUint32(16, true);
  }

  /** The bytes that the iovecs of a message point to. */
  private gather(at: number, count: number): Buffer {
    const pieces: Buffer[] = [];
    for (let i = 0; i < count; i++) {
      const entry = new DataView(this.iovecMemory, at + i * IOVEC_BYTES, IOVEC_BYTES);
      const from = Number(entry.getBigUint64(0, true));
      const bytes = Number(entry.getBigUint64(8, true));
      const inHeaders = from >= HEADERS_ADDRESS;
      pieces.push(
        Buffer.from(
          inHeaders ? this.headerMemory : this.ring.data,
          from - (inHeaders ? HEADERS_ADDRESS : DATA_ADDRESS),
          bytes,
        ),
      );
    }
    return Buffer.concat(pieces);
  }
}
