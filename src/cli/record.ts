// SPDX-License-Identifier: MIT
/** `vnet-bpf record`: writes what the loop does to each frame into a file that Wireshark reads. */
import { isatty } from 'node:tty';

import { writerFor } from '../capture/formats';
import { Recorder, type Recorded, type RecorderOptions } from '../capture/recorder';
import {
  NumberedFiles,
  oneFile,
  openSink,
  type OutputFiles,
  OutputFull,
  ReaderGone,
  type Rotation,
  STDOUT,
} from '../capture/sink';
import { usageError, VnetError } from '../errors';
import { requireAttachment } from '../lifecycle/find-attachment';
import { clock } from '../native/clock';
import { programVersion } from '../native/node';
import { allNewsIsOut, cannotBeWritten, whyNotWritten } from '../native/standard-streams';
import { onCommandLine, parseBuffer, parseInteger, parseSize } from '../options/values';
import { parseFilter } from '../packet/filter';
import { requirePrivileges } from '../requirements';
import type { Attachment } from '../state/store';
import { bytes, jsonText, reportError, tell, tellMade, tellNotice } from '../terminal/output';
import { duration, ProgressLine, Rate } from '../terminal/progress';
import { endSignals } from '../terminal/signals';
import { MAX_SNAPLEN, MIN_SNAPLEN } from './arguments';
import { checkSelection, secondsOf } from './selection';

interface RecordArguments {
  iface: string;
  netns: string | undefined;
  write: string;
  snaplen: string;
  count: string | undefined;
  duration: string | undefined;
  buffer: string;
  filter: string | undefined;
  rotateSize: string | undefined;
  rotateTime: string | undefined;
  files: string | undefined;
  json: boolean;
}

/** The smallest limit for a file that rotates, in bytes, so that it holds some frames. */
const ROTATE_BYTES_MIN = 65536;
const FILES_MAX = 99999;

export async function recordCommand(args: RecordArguments): Promise<void> {
  checkSelection(args);
  const options = recorderOptions(args);
  const rotation = rotationOf(args);
  const seconds = args.duration === undefined ? Infinity : secondsOf('--duration', args.duration);
  if (args.write === STDOUT && args.json)
    throw usageError(
      '--json',
      'standard output is for the recording',
      'leave --json out, or name a file: -w run.pcapng',
    );
  if (args.write === STDOUT && isatty(1))
    throw usageError('-w -', 'standard output is a terminal', 'such as: vnet-bpf record vnet0 -w - | tshark -r -');
  if (args.write === STDOUT && rotation)
    throw usageError(
      '-w -',
      'is one stream, which does not rotate',
      'name a file, or leave out --rotate-size, --rotate-time and --files',
    );
  requirePrivileges();
  const attachment = requireAttachment(args.iface, args.netns ?? null);
  const files = rotation
    ? new NumberedFiles(args.write, rotation)
    : oneFile(() => openSink(args.write), writerFor(args.write));
  const recorded = await record(attachment, files, options, seconds, {
    beforeExit: () => void reportError(unread(args.write), false),
    onProgress: progressText(options.count, seconds),
  });
  // The reader of a named pipe may simply have seen enough; the reader of standard output is missing data.
  if (args.write === STDOUT && recorded.readerGone) throw cannotBeWritten(1, 'EPIPE');
  const line = reportOf(recorded, attachment.iface, args.write, files);
  const { iface, netns } = attachment;
  const { frames, missed, unmatched } = recorded;
  if (args.json)
    tellMade(
      jsonText({
        interface: iface,
        netns: netns.name,
        file: args.write,
        ...(files instanceof NumberedFiles && { files: files.names }),
        frames,
        missed,
        unmatched,
      }),
    );
  else if (args.write === STDOUT) tellNotice(line);
  else tell(line);
  await allNewsIsOut();
  process.exit(); // a pipe with a slow reader must not keep the process alive
}

function reportOf({ frames, missed, unmatched }: Recorded, iface: string, file: string, files: OutputFiles): string {
  const where = file === STDOUT ? '' : ` in ${files instanceof NumberedFiles ? files.words : file}`;
  const others = unmatched === 0 ? '' : `, ${unmatched} others did not match the filter`;
  return `${frames} frame${frames === 1 ? '' : 's'} of ${iface}${where}${others}${missed === 0 ? '' : `, ${missed} missed: a larger --buffer may help`}`;
}

export function recorderOptions({
  snaplen,
  count,
  buffer,
  filter,
}: Pick<RecordArguments, 'snaplen' | 'count' | 'buffer' | 'filter'>): RecorderOptions {
  return {
    snapLen: parseInteger(snaplen, onCommandLine('snaplen', snaplen), MIN_SNAPLEN, MAX_SNAPLEN),
    count:
      count === undefined ? Infinity : parseInteger(count, onCommandLine('count', count), 1, Number.MAX_SAFE_INTEGER),
    bufferBytes: parseBuffer(buffer),
    application: `vnet-bpf ${programVersion()}`,
    filter: filter === undefined ? null : parseFilter(filter),
  };
}

function rotationOf({ rotateSize, rotateTime, files }: RecordArguments): Rotation | null {
  if (rotateSize === undefined && rotateTime === undefined) {
    if (files !== undefined)
      throw usageError(
        '--files',
        'says how many files to keep, and there is only one',
        'with --rotate-size or --rotate-time there are several',
      );
    return null;
  }
  return {
    bytes:
      rotateSize === undefined
        ? Infinity
        : parseSize(rotateSize, onCommandLine('rotate-size', rotateSize), {
            min: ROTATE_BYTES_MIN,
            max: Infinity,
            hint: 'from 64K on, such as 100M',
          }),
    seconds: rotateTime === undefined ? Infinity : secondsOf('--rotate-time', rotateTime),
    files: files === undefined ? Infinity : parseInteger(files, onCommandLine('files', files), 1, FILES_MAX),
  };
}

function progressText(count: number, seconds: number): (recorded: Recorded) => string {
  const rate = new Rate();
  const start = clock.now();
  return ({ frames, missed, bytes: written }) => {
    const speed = rate.of(frames);
    const left = Math.min(
      start + seconds * 1000 - clock.now(),
      speed > 0 ? ((count - frames) / speed) * 1000 : Infinity,
    );
    return `${frames} frames, ${Math.round(speed)}/s, ${bytes(written)}, ${missed} missed${left === Infinity ? '' : `, ${duration(left)} left`}`;
  };
}

/** How long a reader that does not read may delay the end of a recording, in milliseconds. */
const GRACE_MS = 2000;

function unread(file: string): VnetError {
  if (file === STDOUT) return cannotBeWritten(1, 'EAGAIN');
  return new VnetError('SYSCALL', `recording ${file}`, 'ends early: nobody reads what is in the pipe already', {
    hint: 'read the pipe until its end',
  });
}

/** The error for a recording whose file is full. */
function full({ file, errno }: OutputFull, { frames }: Recorded): VnetError {
  const what = file === STDOUT ? 'recording to standard output' : `recording ${file}`;
  return new VnetError(
    'SYSCALL',
    what,
    `${whyNotWritten(errno)}: it ended early, complete, with ${frames} frames in all`,
    { hint: 'free some space; --rotate-size with --files, --snaplen and --filter need less' },
  );
}

/** How a recording in progress reports. */
interface RecordTalk {
  /** Called if what was written is not read, before the process ends with exit code 1. */
  beforeExit: () => void;
  onProgress?: (recorded: Recorded) => string;
}

/** Records until a signal, or until the time is up, the interface is gone, or the reader of the recording is. */
export async function record(
  attachment: Attachment,
  files: OutputFiles,
  options: RecorderOptions,
  seconds: number,
  { beforeExit, onProgress }: RecordTalk,
): Promise<Recorded & { readerGone: boolean }> {
  using recorder = await Recorder.begin(attachment, files, options);
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
  using _progress = onProgress && new ProgressLine(() => onProgress(recorder.recorded));
  try {
    return { ...(await recorder.run()), readerGone: false };
  } catch (error) {
    if (error instanceof OutputFull) throw full(error, recorder.recorded);
    if (!(error instanceof ReaderGone)) throw error;
    return { ...recorder.recorded, readerGone: true };
  }
}
