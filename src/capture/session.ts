// SPDX-License-Identifier: MIT
/**
 * The controller's side of a recording: makes the trace ring and the outcomes ring, pins them for the recorder (a
 * process of its own) to open, and removes both when the recorder's connection closes, however the recorder ended.
 */
import * as path from 'node:path';

import { BpfError, BpfMap, MappedMemory, MapType } from 'libbpf-ts';

import type { RecordingRequest } from '../control/orders';
import { createOutcomes, slotsFor } from '../datapath/outcomes';
import { type Datapath, setInner, u32 } from '../datapath/programs';
import { SharedWords } from '../datapath/shared-memory';
import { VnetError } from '../errors';
import { CONTROL } from '../layout';
import { removeFile } from '../native/removal';
import { pinDirectory } from '../state/bpffs';

/** Names of the pins, beside those of the attachment. */
export const RECORDING_PINS = { trace: 'trace-in-use', outcomes: 'outcomes' } as const;

export interface Recordable {
  id: string;
  iface: string;
  datapath: Datapath;
  control: SharedWords;
  /** Makes the poller start writing outcomes; null stops it. */
  tellPoller(outcomes: BpfMap | null): Promise<void>;
}

const FIRST = u32(0);

export class Recording {
  private open = true;
  private tracing = true;
  private outcomes: BpfMap | undefined;

  private constructor(
    private readonly parts: Recordable,
    private readonly trace: BpfMap,
  ) {}

  /** Starts a recording. Throws a VnetError if there is no memory for it. */
  static async begin(parts: Recordable, { bufferBytes, snapLen }: RecordingRequest): Promise<Recording> {
    const { iface, id, control, datapath } = parts;
    const trace = explain(iface, bufferBytes, () =>
      BpfMap.create({ type: MapType.RINGBUF, name: 'trace', keySize: 0, valueSize: 0, maxEntries: bufferBytes }),
    );
    const recording = new Recording(parts, trace);
    try {
      const outcomes = (recording.outcomes = explain(iface, bufferBytes, () => createOutcomes(slotsFor(bufferBytes))));
      const pins = pinDirectory(id);
      forgetPins(pins);
      trace.pin(path.join(pins, RECORDING_PINS.trace));
      outcomes.pin(path.join(pins, RECORDING_PINS.outcomes));
      setInner(datapath.maps.trace, 0, trace);
      await parts.tellPoller(outcomes);
      control.set32(CONTROL.snapLen, snapLen);
      control.set32(CONTROL.recording, 1);
      return recording;
    } catch (error) {
      await recording.end();
      throw error;
    }
  }

  /** Ends writing to the trace ring; outcomes of the frames that are in it are still written. */
  stopTracing(): void {
    this.tracing = false;
    stopTracing(this.parts.datapath, this.parts.control);
  }

  /** Leaves frames out of the recording from now on, or goes on with it. */
  pause(isPaused: boolean): void {
    if (this.tracing) this.parts.control.set32(CONTROL.recording, isPaused ? 0 : 1);
  }

  /** Removes everything; what the recorder has mapped exists as long as the recorder. Idempotent. */
  async end(): Promise<void> {
    if (!this.open) return;
    this.open = false;
    this.stopTracing();
    forgetPins(pinDirectory(this.parts.id));
    this.trace.close();
    await this.parts.tellPoller(null);
    this.outcomes?.close();
  }
}

/**
 * Removes the trace ring from its map. The kernel returns only when no program uses the ring any more (synchronize_rcu
 * in kernel/bpf/syscall.c).
 */
function stopTracing({ maps }: Datapath, control: SharedWords): void {
  control.set32(CONTROL.recording, 0);
  if (maps.trace.get(FIRST)) maps.trace.delete(FIRST);
}

/** Cleans up after a crash: the recorder ended with the controller that was killed. */
export function forgetCrashedRecording(datapath: Datapath, pins: string): void {
  using memory = MappedMemory.map({ fd: datapath.maps.control.fd, length: CONTROL.size });
  stopTracing(datapath, new SharedWords(memory.buffer, 0, CONTROL.size));
  forgetPins(pins);
}

function forgetPins(pins: string): void {
  for (const name of Object.values(RECORDING_PINS)) removeFile(path.join(pins, name));
}

function explain<T>(iface: string, bytes: number, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    if (!(cause instanceof BpfError)) throw cause;
    throw new VnetError(
      'SYSCALL',
      `a recording of ${iface}`,
      `no memory for a buffer of ${bytes} bytes: ${cause.message}`,
      { hint: 'a smaller --buffer', cause },
    );
  }
}
