// SPDX-License-Identifier: MIT
/** Runs `vnet-bpf record` beside a test, and reads its file. */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import type { Test } from 'tap';

import { virtioNetHeaderOf } from '../../src/capture/comment';
import { CaptureInput, framesOf } from '../../src/capture/reader';
import { pinDirectory } from '../../src/state/bpffs';
import { attachmentOf, MAIN, SLOW, type Attached } from './cli';
import { eventually } from './controller';
import { run } from './netns';

/** The reason to skip a test with tshark if there is none; false if the test can run. */
export function withoutTshark(): string | false {
  try {
    return run('tshark', ['--version']).status === 0 ? false : 'tshark does not run';
  } catch {
    return 'there is no tshark: Debian has it in the package tshark';
  }
}

/** A directory for files of a test, removed when it ends. */
export function directoryOf(t: Test): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-bpf-test-'));
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export const tracePin = (nic: Attached): string => path.join(pinDirectory(attachmentOf(nic).id), 'trace-in-use');

export interface Recording {
  file: string;
  child: ChildProcess;
  /** Sends SIGINT; resolves with the output when the recorder has ended without an error. */
  end(): Promise<string>;
  /** The same without a signal, for a recorder that ends by itself. */
  ended: Promise<{ status: number | null; output: string }>;
}

/** Begins to record; resolves once every frame is recorded. With rotation, `first` is the name of the first file. */
export async function startRecording(
  t: Test,
  nic: Attached,
  args: readonly string[] = [],
  first = 'run.pcapng',
): Promise<Recording> {
  const file = path.join(directoryOf(t), 'run.pcapng');
  const child = spawn(process.execPath, [MAIN, 'record', nic.iface, '--netns', nic.netns, '-w', file, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  t.teardown(() => child.exitCode === null && child.signalCode === null && child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  const ended = new Promise<{ status: number | null; output: string }>((resolve) =>
    child.once('close', (status) => resolve({ status, output })),
  );
  // The file's first blocks are written when the recording has begun.
  const begun = await eventually(
    () =>
      child.exitCode !== null ||
      (fs.statSync(path.join(path.dirname(file), first), { throwIfNoEntry: false })?.size ?? 0) > 0,
  );
  if (!begun || child.exitCode !== null) throw new Error(`record did not begin: ${output}`);
  const end = async (): Promise<string> => {
    child.kill('SIGINT');
    const { status } = await ended;
    if (status !== 0) throw new Error(`record ended with ${status}: ${output}`);
    return output;
  };
  return { file, child, end, ended };
}

export interface RecordedFrame {
  time: bigint | null;
  length: number;
  bytes: Buffer;
  /** The virtio_net_hdr in hexadecimal, empty if there is none. */
  header: string;
  comment: string;
}

/** The frames of a recording, read as replay reads them. */
export async function readRecording(file: string): Promise<RecordedFrame[]> {
  const found: RecordedFrame[] = [];
  for await (const frames of framesOf(CaptureInput.open(file))) {
    for (const { time, length, bytes, comments } of frames) {
      const comment = comments.join('\n');
      found.push({
        time,
        length,
        bytes: Buffer.from(bytes),
        header: Buffer.from(virtioNetHeaderOf(comment) ?? []).toString('hex'),
        comment,
      });
    }
  }
  return found;
}

/** The number of comments that begin with each of the words, without times and numbers. */
export function kindsOf(frames: readonly RecordedFrame[]): Record<string, number> {
  const kinds: Record<string, number> = {};
  for (const { comment } of frames) {
    const kind = (comment.split(';')[0] as string)
      .replace(/\d+\.\d+ ms/g, 'T')
      .replace(/with \d+ others? as one packet/, 'with others');
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

/** Numbers of the statistics at the end, taken from their comment. */
export interface Summary {
  missed: number;
  text: string;
}

/** The statistics after the last frame of the file. */
export function summaryOf(file: string): Summary {
  const end = fs.readFileSync(file).subarray(-1024).toString('latin1');
  const text = /(no frame was missed|\d+ frames were missed)[^\0]*/.exec(end)?.[0];
  if (text === undefined) throw new Error(`${file} has no statistics at its end`);
  return { missed: text.startsWith('no') ? 0 : parseInt(text, 10), text };
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms * SLOW));
