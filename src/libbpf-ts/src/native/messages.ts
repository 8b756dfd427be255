// SPDX-License-Identifier: MIT
/**
 * What libbpf prints, collected by thread.
 *
 * libbpf has one print function for the whole process and calls it on whichever thread is in libbpf. A function of
 * JavaScript cannot be that: it belongs to one thread, which may be blocked, or gone, while another thread prints. So
 * the print function is 30 instructions of machine code (collector.x64.s, collector.arm64.s), which format each message
 * into memory of the process, with the number of the thread. They belong to no thread and outlive every worker. On
 * other machines, and where memory cannot be made executable, nothing is collected, and errors lack libbpf's words.
 */
import { type Address, lastErrno, libc, libcSymbol, littleEndian } from './ffi';
import { LAYOUT, processMemory } from './process-memory';

/** The machine code of collector.x64.s and collector.arm64.s; a test assembles and compares them. */
export const COLLECTORS: Readonly<Record<string, string>> = {
  x64:
    'f30f1efa85ff754d53415441554989f44989d548bb0000636c20000000ff5310b901000000f0480fc14b080fb6d148c1' +
    'e20a488d7c134048890748894f084883c710bef00300004c89e24c89e9ff5318415d415c5b31c0c3',
  arm64:
    'c0030035fd7bbda9fd030091f35301a9f51300f9f30301aaf40302aa1504c0d2758cadf2a90a40f920013fd6aa220091' +
    '4bfd5fc86c0500914cfd0dc8adffff356c1d4092aa2a0c8b4a010191400100f94b0500f940410091017e80d2e20313aa' +
    'e30314aaa90e40f920013fd6f51340f9f35341a9fd7bc3a800008052c0035fd6',
};

const { at: AT, number: SLOTS, size: SLOT_SIZE } = LAYOUT.messages;
const SLOT = { thread: 0, number: 8, text: 16 } as const;

interface Collector {
  /** This thread. */
  readonly self: bigint;
  /** Number of messages of the process. */
  readonly count: BigUint64Array;
  readonly words: DataView;
  readonly bytes: Uint8Array;
}

let collector: Collector | undefined;

/** The address of the print function; 0 where there can be none. The first thread of the process makes it. */
export function printFunction(): Address {
  const code = Buffer.from((littleEndian ? COLLECTORS[process.arch] : undefined) ?? '', 'hex');
  const memory = processMemory({ code, calls: [libcSymbol('pthread_self'), libcSymbol('vsnprintf')] });
  if (!memory || memory.code === 0) return 0;
  collector = {
    self: BigInt(libc.pthread_self()),
    count: new BigUint64Array(memory.data, LAYOUT.count, 1),
    words: new DataView(memory.data),
    bytes: new Uint8Array(memory.data),
  };
  return memory.code;
}

/** What a call of libbpf returned, its errno, and what it printed. */
export interface Collected<Result> {
  readonly result: Result;
  /** Positive; of a function that sets errno. */
  readonly errno: number;
  /** Warnings of libbpf, without its prefix and the last line break. */
  readonly messages: readonly string[];
}

/** A place in the sequence of messages. */
export type Mark = bigint;

/** Where messages of a call that now begins will start. */
export const markMessages = (): Mark => (collector ? Atomics.load(collector.count, 0) : 0n);

/**
 * The messages since a mark that are still there: the last 256 of the process, each cut to a thousand bytes.
 *
 * @param from those of this thread; or else those of a thread of libuv's pool: of any other, because which one is
 *   unknown
 */
export function messagesSince(mark: Mark, from: 'this thread' | 'another thread' = 'this thread'): string[] {
  if (!collector) return [];
  const { self, count, words, bytes } = collector;
  const end = Atomics.load(count, 0);
  const messages: string[] = [];
  for (let n = end - mark > SLOTS ? end - BigInt(SLOTS) : mark; n < end; n++) {
    const at = AT + Number(n % BigInt(SLOTS)) * SLOT_SIZE;
    const isOurs = (words.getBigUint64(at + SLOT.thread, littleEndian) === self) === (from === 'this thread');
    if (!isOurs || words.getBigUint64(at + SLOT.number, littleEndian) !== n) continue;
    const text = bytes.subarray(at + SLOT.text, at + SLOT_SIZE);
    const line = Buffer.from(text.subarray(0, Math.max(0, text.indexOf(0)))).toString('utf8');
    messages.push(line.replace(/^libbpf: /, '').trimEnd());
  }
  return messages;
}

/** Calls a function of libbpf on this thread and collects what it prints. */
export function collect<Result>(call: () => Result): Collected<Result> {
  const mark = markMessages();
  const result = call();
  const errno = lastErrno();
  return { result, errno, messages: messagesSince(mark) };
}
