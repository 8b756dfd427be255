// SPDX-License-Identifier: MIT
/** `vnet-bpf record`: what the loop does to each frame, in a file that Wireshark reads. */
import { isatty } from 'node:tty';

import { requireAttachment } from '../controller/find-attachment';
import { parseBuffer, parseInteger } from '../controller/options';
import { requirePrivileges } from '../controller/privileges';
import { usageError, VnetError } from '../errors';
import { allNewsIsOut, cannotBeWritten } from '../native/standard-streams';
import { Recorder, type Recorded, type RecorderOptions } from '../recording/recorder';
import { openSink, ReaderGone, STDOUT, type Sink } from '../recording/sink';
import type { Attachment } from '../state/store';
import { MAX_SNAPLEN, MIN_SNAPLEN, type RecordArguments } from './record-arguments';
import { jsonText, printNotice, reportError, tell, tellMade } from './output';
import { checkSelection, secondsOf } from './selection';
import { endSignals } from './signals';

export const { version } = require('../../package.json') as { version: string };

export async function recordCommand(args: RecordArguments): Promise<void> {
  checkSelection(args);
  const options = recorderOptions(args);
  const seconds = args.duration === undefined ? Infinity : secondsOf('--duration', args.duration);
  if (args.write === STDOUT && args.json) throw usageError('--json', 'standard output is for the recording', 'leave --json out, or name a file: -w run.pcapng');
  if (args.write === STDOUT && isatty(1)) throw usageError('-w -', 'standard output is a terminal', 'such as: vnet-bpf record vnet0 -w - | tshark -r -');
  requirePrivileges();
  const attachment = requireAttachment(args.iface, args.netns ?? null);
  const { frames, missed, readerGone } = await record(attachment, () => openSink(args.write), options, seconds, () => void reportError(unread(args.write), false));
  // A pipe that was named is somebody's who may have seen enough; what goes to standard output is a report.
  if (args.write === STDOUT && readerGone) throw cannotBeWritten(1, 'EPIPE');
  const where = args.write === STDOUT ? '' : ` in ${args.write}`;
  const line = `${frames} frames of ${attachment.iface}${where}${missed === 0 ? '' : `, ${missed} missed: a larger --buffer may help`}`;
  const { iface, netns } = attachment;
  if (args.json) tellMade(jsonText({ interface: iface, netns: netns.name, file: args.write, frames, missed }));
  else if (args.write === STDOUT) printNotice(line);
  else tell(line);
  await allNewsIsOut();
  process.exit(); // a pipe whose reader is slow must not keep it
}

export function recorderOptions({ snaplen, count, buffer }: Pick<RecordArguments, 'snaplen' | 'count' | 'buffer'>): RecorderOptions {
  return {
    snapLen: parseInteger('snaplen', snaplen, MIN_SNAPLEN, MAX_SNAPLEN),
    count: count === undefined ? Infinity : parseInteger('count', count, 1, Number.MAX_SAFE_INTEGER),
    bufferBytes: parseBuffer(buffer),
    application: `vnet-bpf ${version}`,
  };
}

/** How long a reader that does not read may keep a recording from ending. */
const GRACE_MS = 2000;

function unread(file: string): VnetError {
  if (file === STDOUT) return cannotBeWritten(1, 'EAGAIN');
  return new VnetError('SYSCALL', `recording ${file}`, 'ends early: nobody reads what is in the pipe already', { hint: 'read the pipe until its end' });
}

/**
 * Until a signal, the end of its time, of the interface, or of the one who reads it. One who does not read ends the
 * process with exit code 1, after `beforeExit`.
 */
export async function record(attachment: Attachment, open: () => Sink, options: RecorderOptions, seconds: number, beforeExit: () => void): Promise<Recorded & { readerGone: boolean }> {
  using recorder = await Recorder.begin(attachment, open, options);
  const endUnread = (): void => {
    if (recorder.blockedFor <= GRACE_MS) return;
    beforeExit();
    process.exit(1);
  };
  const stop = (): void => {
    recorder.stop();
    setInterval(endUnread, GRACE_MS / 10).unref();
  };
  for (const signal of endSignals()) process.once(signal, stop);
  if (seconds !== Infinity) setTimeout(stop, seconds * 1000).unref();
  try {
    return { ...(await recorder.run()), readerGone: false };
  } catch (error) {
    if (!(error instanceof ReaderGone)) throw error;
    return { ...recorder.recorded, readerGone: true };
  }
}
