// SPDX-License-Identifier: MIT
/** `vnet-bpf replay`: sends the frames of a capture file on an interface. */
import { CAPTURE_FILE } from '../capture/contract';
import { CaptureInput, framesOf, STDIN } from '../capture/reader';
import { Pace, Replay, type ReplayOptions } from '../capture/replay';
import { FrameSender, mtuFor, WireFrames } from '../capture/sender';
import { commandAbout, operandFor, shellWord, VnetError } from '../errors';
import { requireAttachment } from '../lifecycle/find-attachment';
import { linkByIndex } from '../link/links';
import { openAttachmentNetns } from '../link/netns-record';
import { clock } from '../native/clock';
import { parseFilter } from '../packet/filter';
import { requirePrivileges } from '../requirements';
import { bytes, jsonText, tell, tellMade, tellNotice } from '../terminal/output';
import { duration, ProgressLine, Rate } from '../terminal/progress';
import { endSignals } from '../terminal/signals';
import { checkSelection, secondsOf } from './selection';

interface ReplayArguments {
  file: string;
  into: string;
  netns: string | undefined;
  timing: 'original' | 'max';
  maxGap: string | undefined;
  asIs: boolean;
  filter: string | undefined;
  json: boolean;
}

export async function replayCommand(args: ReplayArguments): Promise<void> {
  const { into, netns: name } = args;
  checkSelection({ iface: into, netns: name });
  const pace = paceOf(args);
  const filter = args.filter === undefined ? null : parseFilter(args.filter);
  requirePrivileges();
  const attachment = requireAttachment(into, name ?? null);
  using netns = openAttachmentNetns(attachment);
  const mtu = netns?.run(() => linkByIndex(attachment.ifindex))?.mtu;
  if (!netns || mtu === undefined)
    throw new VnetError('NO_SUCH_NETNS', `interface ${into}`, 'it or its network namespace is gone', {
      hint: `${commandAbout('detach', attachment)} removes what is left`,
    });
  try {
    const input = CaptureInput.open(args.file);
    using sender = FrameSender.open(netns, into, attachment.ifindex);
    await replay(args, attachment.netns.name, input, sender, {
      pace,
      filter,
      wire: args.asIs ? null : new WireFrames(mtu),
    });
  } catch (error) {
    throw named(error, args);
  }
}

async function replay(
  args: ReplayArguments,
  netns: string | null,
  input: CaptureInput,
  sender: FrameSender,
  options: ReplayOptions,
): Promise<void> {
  const { file, into } = args;
  using progress = new ProgressLine(progressText(sender, input));
  const onLongGap = (ms: number): void => {
    progress.clear();
    tellNotice(`the next frame is due in ${duration(ms)}: --max-gap shortens gaps`);
  };
  const replay = new Replay(sender, { ...options, onLongGap });
  const start = clock.now();
  const send = async (): Promise<void> => {
    try {
      for await (const frames of framesOf(input)) await replay.send(frames);
    } finally {
      input.close();
      progress[Symbol.dispose]();
      const seconds = (clock.now() - start) / 1000;
      if (args.json)
        tellMade(
          jsonText({
            interface: into,
            netns,
            file,
            sent: sender.sent,
            refused: Object.fromEntries(sender.refused),
            leftOut: replay.leftOut.counts(),
            cut: replay.leftOut.byReason.get('cut') ?? 0,
            seconds: Number(seconds.toFixed(6)),
          }),
        );
      else if (replay.frames > 0) tell(report(sender, replay, options.wire, into, seconds));
    }
  };
  const stop = (): void => {
    replay.stop();
    input.close();
  };
  const signal = await untilSignal(send, stop);
  if (signal !== null)
    throw new VnetError(
      'INTERRUPTED',
      `replay of ${nameOf(file)}`,
      `ended by ${signal} after ${howFar(replay, input)}`,
      { hint: 'the frames before that were sent' },
    );
  if (replay.frames === 0 && !args.json) tell(`0 frames sent on ${into}: there are none in ${nameOf(file)}`);
  requireAllSent(args, sender, replay);
}

/** An error of the capture file, with the file's name and with commands that can be typed. */
function named(error: unknown, { file, into, netns }: ReplayArguments): unknown {
  if (!(error instanceof VnetError) || !error.message.startsWith(CAPTURE_FILE)) return error;
  const what = file === STDIN ? nameOf(file) : `capture file ${file}`;
  const hint = error.hint?.replace('FILE', shellWord(file)).replace('IFACE', operandFor(into, netns ?? null));
  return new VnetError(error.code, what, error.message.slice(CAPTURE_FILE.length + 2), {
    ...(hint !== undefined && { hint }),
    cause: error,
  });
}

function paceOf({ timing, maxGap }: ReplayArguments): Pace | null {
  const maxGapMs = maxGap === undefined ? Infinity : secondsOf('--max-gap', maxGap) * 1000;
  return timing === 'original' ? new Pace(maxGapMs) : null;
}

/** Does the work; returns the signal that ended it, or null. */
async function untilSignal(work: () => Promise<void>, stop: () => void): Promise<NodeJS.Signals | null> {
  let ended: NodeJS.Signals | null = null;
  const stopped = (signal: NodeJS.Signals): void => {
    ended ??= signal;
    stop();
  };
  for (const signal of endSignals()) process.on(signal, stopped);
  try {
    await work();
  } catch (error) {
    // The signal closed what was being read.
    if (ended === null) throw error;
  } finally {
    for (const signal of endSignals()) process.off(signal, stopped);
  }
  return ended;
}

const nameOf = (file: string): string => (file === STDIN ? 'standard input' : file);

function howFar({ frames }: Replay, { size, read }: CaptureInput): string {
  return `${frames} frames of it${size === null || size === 0 ? '' : `, ${Math.floor((read / size) * 100)} % of the file`}`;
}

function progressText(sender: FrameSender, input: CaptureInput): () => string {
  const [frames, read] = [new Rate(), new Rate()];
  return () => {
    const done = `${sender.sent} frames, ${Math.round(frames.of(sender.sent))}/s`;
    const speed = read.of(input.read);
    if (input.size === null) return `${done}, ${bytes(input.read)} read`;
    const left = speed > 0 ? `, ${duration(((input.size - input.read) / speed) * 1000)} left` : '';
    return `${done}, ${input.size === 0 ? 100 : Math.floor((input.read / input.size) * 100)} %${left}`;
  };
}

function report(
  { sent, refused }: FrameSender,
  { leftOut }: Replay,
  wire: ReplayOptions['wire'],
  into: string,
  seconds: number,
): string {
  const parts = [`${sent} frame${sent === 1 ? '' : 's'} sent on ${into} in ${seconds.toFixed(3)} s`];
  const full = refused.get('ENOBUFS') ?? 0;
  if (full > 0) parts.push(`${full} refused: its queue was full`);
  if (wire && wire.superpackets > 0)
    parts.push(
      `${wire.segments} of them segments of ${wire.superpackets} superpacket${wire.superpackets === 1 ? '' : 's'}`,
    );
  if (wire && wire.completed > 0) parts.push(`checksums of ${wire.completed} completed`);
  if (leftOut.total > 0) parts.push(`left out: ${leftOut.words()}`);
  return parts.join(', ');
}

/**
 * Throws if frames were not sent. Those of other link types, or that the filter does not match, are not meant to be.
 */
function requireAllSent({ file, into }: ReplayArguments, { sent, refused }: FrameSender, { leftOut }: Replay): void {
  if (leftOut.failed > 0 || (sent === 0 && leftOut.byLinkType.size > 0)) {
    throw new VnetError('STATE', `${leftOut.total} frames of ${nameOf(file)}`, `were not sent: ${leftOut.words()}`, {
      hint: leftOut.hint(into, mtuFor),
    });
  }
  const wrong = [...refused].filter(([error]) => error !== 'ENOBUFS').map(([error, count]) => `${count} with ${error}`);
  if (wrong.length > 0)
    throw new VnetError('SYSCALL', `frames of ${nameOf(file)}`, `the kernel did not take ${wrong.join(', ')}`, {
      hint: 'EMSGSIZE: the MTU was lowered meanwhile, or --as-is sends superpackets that are too long',
    });
}
