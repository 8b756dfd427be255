// SPDX-License-Identifier: MIT
/** One run of the command in a throwaway network, with faults or without, and what came of it. */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

import { FRAME_BYTES_MAX } from '../capture/contract';
import { Recorder } from '../capture/recorder';
import { oneFile, openSink } from '../capture/sink';
import { HINTS, messageOf, VnetError } from '../errors';
import { documentOf } from '../faults/document';
import type { Fault } from '../faults/log';
import type { Faults } from '../faults/rules';
import { endProcesses, Netns } from '../link/netns';
import { clock } from '../native/clock';
import { programVersion } from '../native/node';
import { Turns } from '../native/turns';
import { type Attachment, allAttachments } from '../state/store';
import { runInNetwork } from '../testing/run-in-network';
import { Throwaway } from '../testing/throwaway';

/** Prefix of the namespaces' names, by which users recognize them in `ip netns list`. */
const PREFIX = 'vnet-explore-';
/** The last bytes of the command's output that are kept. */
const OUTPUT_BYTES = 8192;
/** How long output may be on its way when the command has ended, in milliseconds. */
const OUTPUT_MS = 200;
/** Bytes of frames that wait for the recorder. */
const RECORDER_BYTES = 16 << 20;

export interface Outcome {
  /** The exit code as a shell reports it; null if the command did not end in time. */
  status: number | null;
  /** The faults that happened. */
  log: readonly Fault[];
  /** The end of what the command has printed. */
  output: string;
  /** How long it took; the limit, if it did not end in time. */
  ms: number;
  /** Why there is no recording; null if there is one, or none was wanted. */
  unrecorded: string | null;
}

/** Says that a trial was given up, because its outcome is not needed any more. */
export class GivenUp extends Error {}

export interface TrialOptions {
  command: readonly string[];
  addresses: string[];
  /** Null: none. */
  faults: Faults | null;
  timeoutMs: number;
  /** File for a recording of the frames; null: none. */
  record: string | null;
  /** Aborted when the outcome is not needed any more. */
  signal: AbortSignal;
}

/** Networks are made and removed one at a time, because that takes the global lock of this machine. */
const turns = new Turns();

/** Runs the command once. Leaves nothing behind. Throws GivenUp, CannotExecute, and what attach() throws. */
export async function trial(options: TrialOptions): Promise<Outcome> {
  const { addresses, faults, signal } = options;
  const network = await turns.take(async () => {
    if (signal.aborted) throw new GivenUp();
    return Throwaway.create(PREFIX, {
      addresses,
      ...(faults !== null && { faults: JSON.stringify(documentOf(faults)) }),
    });
  });
  try {
    return await runRecorded(network, options);
  } finally {
    await turns.take(() => network.close());
  }
}

/** A file that cannot be written costs the recording, not what the search has found. */
async function runRecorded(network: Throwaway, options: TrialOptions): Promise<Outcome> {
  if (options.record === null) return run(network, options);
  const begun = await recorderOf(network, options.record).catch(messageOf);
  if (typeof begun === 'string') return { ...(await run(network, options)), unrecorded: begun };
  using recorder = begun;
  const recorded = recorder.run().then(() => null, messageOf);
  let outcome: Outcome;
  try {
    outcome = await run(network, options);
  } finally {
    recorder.stop();
    await recorded;
  }
  return { ...outcome, unrecorded: await recorded };
}

function recorderOf({ nic }: Throwaway, file: string): Promise<Recorder> {
  const attachment = allAttachments().find(({ id }) => id === nic.id) as Attachment;
  return Recorder.begin(
    attachment,
    oneFile(() => openSink(file)),
    {
      snapLen: FRAME_BYTES_MAX,
      count: Infinity,
      bufferBytes: RECORDER_BYTES,
      application: `vnet-bpf ${programVersion()}`,
      filter: null,
    },
  );
}

async function run(network: Throwaway, { command, faults, timeoutMs, signal }: TrialOptions): Promise<Outcome> {
  const { nic } = network;
  let problem: VnetError | undefined;
  nic.on('error', (error) => (problem ??= error));
  nic.on('hookError', (text) => (problem ??= new VnetError('HOOK', 'faults', text, { hint: HINTS.bug })));
  using netns = Netns.named(network.netns);
  const end = (): void => void endProcesses(netns).catch(() => undefined);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    end();
  }, timeoutMs);
  signal.addEventListener('abort', end);
  const output = new Output();
  const start = clock.now();
  let ms = 0;
  let status: number;
  try {
    // Aborted while the network was made: there is nothing to end.
    if (signal.aborted) throw new GivenUp();
    status = await runInNetwork(network, command, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ownSession: true,
      started(child) {
        output.follow(child);
        child.once('exit', () => (ms = clock.now() - start));
      },
    });
    await output.ended();
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  }
  if (signal.aborted) throw new GivenUp();
  if (problem) throw problem;
  const log = faults === null ? [] : await nic.faultLog();
  return { status: isLate ? null : status, log, output: output.text, ms: isLate ? timeoutMs : ms, unrecorded: null };
}

/** The last bytes that a command has printed, on both streams. */
class Output {
  private chunks: Buffer[] = [];
  private bytes = 0;
  private closed: Promise<unknown> = Promise.resolve();
  private child: ChildProcess | undefined;

  follow(child: ChildProcess): void {
    this.child = child;
    // A child that could not be started has no streams.
    const streams = [child.stdout, child.stderr].filter((stream) => stream !== null && stream !== undefined);
    for (const stream of streams) stream.on('data', (chunk: Buffer) => this.add(chunk));
    this.closed = Promise.all(streams.map((stream) => new Promise((resolve) => stream.once('close', resolve))));
  }

  private add(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    while (this.bytes - (this.chunks[0]?.length ?? 0) >= OUTPUT_BYTES) this.bytes -= this.chunks.shift()?.length ?? 0;
  }

  /** Waits for what is still on its way; a process elsewhere may keep the streams open. */
  async ended(): Promise<void> {
    await Promise.race([this.closed, delay(OUTPUT_MS, undefined, { ref: false })]);
    this.child?.stdout?.destroy();
    this.child?.stderr?.destroy();
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString().slice(-OUTPUT_BYTES);
  }
}
