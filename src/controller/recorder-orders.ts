// SPDX-License-Identifier: MIT
/** What a recorder asks of a controller. Its connection is its life: when it closes, the recording ends. */
import { CONTROL } from '../datapath/layout';
import type { SharedWords } from '../datapath/shared-memory';
import { usageError, VnetError } from '../errors';
import type { ControlSession, Order, OrderHandler } from './control-socket';

export interface RecordingRequest {
  /** Of the tape; a power of two, and whole pages. */
  bufferBytes: number;
  /** Bytes of each frame. */
  snapLen: number;
}

/** What was missed before, by other recorders: the counters go on. */
export interface RecordingAnswer {
  missed: number;
  notesMissed: number;
}

/** A recording that goes on. */
export interface Ongoing {
  stopTape(): void;
  end(): Promise<void>;
}

export class RecorderOrders {
  private current: { session: ControlSession; recording: Promise<Ongoing> } | null = null;

  constructor(
    private readonly iface: () => string,
    private readonly control: SharedWords,
    private readonly begin: (request: RecordingRequest) => Promise<Ongoing>,
  ) {}

  readonly orders: Readonly<Record<string, OrderHandler>> = {
    record: (order, session) => this.record(order, session),
    'record-stop': async (_order, session) => {
      if (this.current?.session === session) (await this.current.recording).stopTape();
    },
  };

  private async record({ bufferBytes, snapLen }: Order, session: ControlSession): Promise<RecordingAnswer> {
    if (this.current) throw new VnetError('BUSY', `interface ${this.iface()}`, 'somebody records it already', { hint: 'wait for the other vnet-bpf record, or end it; Wireshark may be one' });
    const answer = { missed: this.control.get64(CONTROL.tapeMissed), notesMissed: this.control.get64(CONTROL.tapeNotesMissed) };
    const mine = { session, recording: this.begin({ bufferBytes: count(bufferBytes), snapLen: count(snapLen) }) };
    this.current = mine;
    session.onClose(() => void this.endOf(mine));
    try {
      await mine.recording;
    } catch (error) {
      await this.endOf(mine);
      throw error;
    }
    return answer;
  }

  private async endOf(mine: NonNullable<RecorderOrders['current']>): Promise<void> {
    const recording = await mine.recording.catch(() => null);
    await recording?.end();
    if (this.current === mine) this.current = null;
  }

  /** Ends what goes on; the recorder sees its connection close. */
  async end(): Promise<void> {
    const { current } = this;
    if (!current) return;
    await this.endOf(current);
    current.session.close();
  }
}

/** A whole number that the kernel's 32 bits hold. */
function count(value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 0x7fffffff) return value;
  throw usageError('a recording', 'the order lacks a number', 'vnet-bpf record gives it');
}
