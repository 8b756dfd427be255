// SPDX-License-Identifier: MIT
/**
 * A network namespace with a looping interface in it, for one test: frames go through the kernel's real stack.
 * Everything is removed by `await using`, by close(), or when the process ends, however it ends.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';

import { MappedMemory } from 'libbpf-ts';

import { VnetError } from '../errors';
import { LARGEST_RECORD } from '../layout';
import { linkByName } from '../link/links';
import { Netns } from '../link/netns';
import { command } from '../native/command';
import { systemEnvironment } from '../native/inherited';
import { errnoName, errnoOf, receiveMessage, sendBytes, setSocketOption } from '../native/libc';
import { bindToLink, openLinkSocket, SOL_PACKET } from '../native/sockets';
import type { Nic } from '../nic/nic';
import { Frame, summaryOf } from '../packet/frame';
import { VLAN_TAG_BYTES } from '../packet/headers';
import { Throwaway, type ThrowawayOptions } from './throwaway';

// What a frame is expected to be: some of its fields, or what a function decides.

/** The expected value of a field: the value itself, a pattern for text, bytes, or a function that accepts it. */
export type Expected<T> = T | (T extends string ? RegExp : never) | ((value: T) => boolean);

type Fields<T> = {
  [K in keyof T]?: T[K] extends string | number | boolean | Uint8Array | null
    ? Expected<T[K]>
    : Fields<NonNullable<T[K]>> | null;
};

/**
 * `{ ipv4: { source: '10.0.0.1' }, udp: { destinationPort: 53 } }`, null for a header that must be absent, or a
 * function.
 */
export type FrameMatcher = Fields<Omit<Frame, 'copy'>> | ((frame: Frame) => boolean);

/** The differences, one line per field; empty if the frame fits. */
export function differences(matcher: FrameMatcher, frame: Frame): string[] {
  if (typeof matcher === 'function') return matcher(frame) ? [] : ['the function says no'];
  return compare(matcher as Record<string, unknown>, frame as unknown as Record<string, unknown>, '');
}

function compare(expected: Record<string, unknown>, actual: Record<string, unknown>, path: string): string[] {
  return Object.entries(expected).flatMap(([key, wanted]) => {
    const name = path === '' ? key : `${path}.${key}`;
    const found = actual[key];
    if (
      typeof wanted === 'object' &&
      wanted !== null &&
      !(wanted instanceof RegExp) &&
      !(wanted instanceof Uint8Array)
    ) {
      if (typeof found !== 'object' || found === null) return [`${name}: wanted, but there is none`];
      return compare(wanted as Record<string, unknown>, found as Record<string, unknown>, name);
    }
    return fits(wanted, found) ? [] : [`${name}: wanted ${show(wanted)}, found ${show(found)}`];
  });
}

function fits(wanted: unknown, found: unknown): boolean {
  if (typeof wanted === 'function') return (wanted as (value: unknown) => boolean)(found);
  if (wanted instanceof RegExp) return typeof found === 'string' && wanted.test(found);
  if (wanted instanceof Uint8Array) return found instanceof Uint8Array && Buffer.compare(wanted, found) === 0;
  return wanted === found;
}

function show(value: unknown): string {
  if (value instanceof Uint8Array)
    return `${value.length} bytes ${Buffer.from(value.subarray(0, 24)).toString('hex')}${value.length > 24 ? '...' : ''}`;
  if (value === null || value === undefined) return 'none';
  if (typeof value === 'function') return 'what a function likes';
  return typeof value === 'object' && !(value instanceof RegExp)
    ? 'a header'
    : typeof value === 'string'
      ? JSON.stringify(value)
      : String(value as number);
}

// Frames of one interface: those that it receives, and those sent on it as an application would send them.

const ETH_P_ALL = 3;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const PACKET_AUXDATA = 8;
const PACKET_IGNORE_OUTGOING = 23;
const RECEIVE_BUFFER_BYTES = 32 << 20;
const ADDRESSES_BYTES = 12;
const EAGAIN = -(errnoOf['EAGAIN'] as number);

/** Offsets in the socket's memory: struct msghdr, an iovec, ancillary data, and the frame. */
const AT = { message: 0, iovec: 64, control: 128, frame: 256 } as const;
const CONTROL_BYTES = AT.frame - AT.control;
const FRAME_BYTES = LARGEST_RECORD;
/** struct cmsghdr, then struct tpacket_auxdata: u32 status, len, snaplen, u16 mac, net, vlan_tci, vlan_tpid. */
const AUXDATA = AT.control + 16;
const TP_STATUS_VLAN_VALID = 1 << 4;

export class FrameSocket implements Disposable {
  private readonly memory = MappedMemory.map({ length: AT.frame + FRAME_BYTES });
  private readonly view = new DataView(this.memory.buffer);
  private open = true;

  private constructor(private readonly fd: number) {}

  /** Opens a socket in which frames wait that the interface receives from now on. */
  static open(netns: Netns, iface: string): FrameSocket {
    const ifindex = netns.run(() => linkByName(iface))?.ifindex;
    if (ifindex === undefined)
      throw new VnetError('INTERFACE_GONE', `interface ${iface}`, 'is not there', {
        hint: 'it has to be attached before frames are sent or awaited',
      });
    const fd = netns.run(openLinkSocket);
    setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
    setSocketOption(fd, SOL_PACKET, PACKET_AUXDATA, 1);
    setSocketOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    bindToLink(fd, ifindex, ETH_P_ALL);
    return new FrameSocket(fd);
  }

  /** Makes the interface transmit a frame. */
  send(frame: Uint8Array): void {
    const sent = sendBytes(this.fd, frame);
    if (sent < 0)
      throw new VnetError('SYSCALL', `send of a frame of ${frame.length} bytes`, errnoName(-sent), {
        hint: 'a frame has to fit the MTU, and the interface to be up',
      });
  }

  /** The next received frame; null if none waits. */
  receive(): Uint8Array | null {
    const { view, memory } = this;
    view.setBigUint64(AT.iovec, BigInt(memory.address + AT.frame), true);
    view.setBigUint64(AT.iovec + 8, BigInt(FRAME_BYTES), true);
    view.setBigUint64(AT.message + 16, BigInt(memory.address + AT.iovec), true);
    view.setBigUint64(AT.message + 24, 1n, true);
    view.setBigUint64(AT.message + 32, BigInt(memory.address + AT.control), true);
    view.setBigUint64(AT.message + 40, BigInt(CONTROL_BYTES), true);
    const length = receiveMessage(this.fd, memory.address + AT.message);
    if (length === EAGAIN) return null;
    if (length < 0)
      throw new VnetError('SYSCALL', 'recvmsg', errnoName(-length), { hint: 'the interface has to be there and up' });
    return this.withTag(new Uint8Array(memory.buffer, AT.frame, length));
  }

  /** The frame as it was on the wire: the kernel takes the VLAN tag out of received data (skb_vlan_untag). */
  private withTag(data: Uint8Array): Uint8Array {
    if ((this.view.getUint32(AUXDATA, true) & TP_STATUS_VLAN_VALID) === 0) return Uint8Array.from(data);
    const frame = new Uint8Array(data.length + VLAN_TAG_BYTES);
    frame.set(data.subarray(0, ADDRESSES_BYTES));
    frame.set(data.subarray(ADDRESSES_BYTES), ADDRESSES_BYTES + VLAN_TAG_BYTES);
    const tag = new DataView(frame.buffer, ADDRESSES_BYTES);
    tag.setUint16(0, this.view.getUint16(AUXDATA + 18, true));
    tag.setUint16(2, this.view.getUint16(AUXDATA + 16, true));
    return frame;
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    fs.closeSync(this.fd);
    this.memory.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

export type LabOptions = ThrowawayOptions;

export interface ExpectOptions {
  /** Milliseconds to wait; the default is 1000, and 100 for expectNone(). */
  within?: number;
}

const LOOK_MS = 2;

export class Lab implements AsyncDisposable {
  /** Received frames that no expect() has taken yet. */
  private waiting: Frame[] = [];
  private open = true;

  private constructor(
    private readonly throwaway: Throwaway,
    private readonly socket: FrameSocket,
  ) {}

  /** Makes a namespace and an interface in it. Needs root. */
  static async create(options: LabOptions = {}): Promise<Lab> {
    const throwaway = await Throwaway.create('vl', options);
    try {
      using netns = Netns.named(throwaway.netns);
      return new Lab(throwaway, FrameSocket.open(netns, throwaway.nic.name));
    } catch (error) {
      await throwaway.close();
      throw error;
    }
  }

  /** Name of the namespace for `ip netns`. */
  get netns(): string {
    return this.throwaway.netns;
  }

  get nic(): Nic {
    return this.throwaway.nic;
  }

  /** Makes the interface transmit a frame, as an application would. The frame passes the loop, and the hook. */
  send(frame: Uint8Array): void {
    this.socket.send(frame);
  }

  /**
   * Waits for a received frame that fits, and takes it. Rejects with the frames that came instead, and their
   * differences.
   */
  async expect(matcher: FrameMatcher, { within = 1000 }: ExpectOptions = {}): Promise<Frame> {
    for (const end = performance.now() + within; ;) {
      this.receive();
      const found = this.waiting.findIndex((frame) => differences(matcher, frame).length === 0);
      if (found >= 0) return this.waiting.splice(found, 1)[0] as Frame;
      if (performance.now() > end)
        // no hint: what came instead is the message
        throw new VnetError(
          'EXPECTATION',
          'the expected frame',
          `did not come within ${within} ms\n${this.explain(matcher)}`,
        );
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Waits, and rejects if a frame that fits has been received. */
  async expectNone(matcher: FrameMatcher, { within = 100 }: ExpectOptions = {}): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, within));
    this.receive();
    const frame = this.waiting.find((candidate) => differences(matcher, candidate).length === 0);
    if (frame)
      // no hint: the frame is the message
      throw new VnetError('EXPECTATION', 'a frame that was not to come', `came\n${summaryOf(frame).join('\n')}`);
  }

  /** Discards the frames received so far. */
  forget(): void {
    this.receive();
    this.waiting = [];
  }

  /** Runs a program in the namespace to its end; returns its output. Throws if it fails. */
  run(program: string, ...args: string[]): string {
    using netns = Netns.named(this.netns);
    return netns.run(() => command(program, args, process.env));
  }

  private receive(): void {
    for (let frame = this.socket.receive(); frame; frame = this.socket.receive()) this.waiting.push(Frame.of(frame));
  }

  /** The frames that came, those that differ least first. */
  private explain(matcher: FrameMatcher): string {
    if (this.waiting.length === 0) return 'no other frame came either';
    const frames = this.waiting
      .map((frame) => ({ frame, wrong: differences(matcher, frame) }))
      .sort((a, b) => a.wrong.length - b.wrong.length);
    const shown = frames
      .slice(0, 5)
      .map(({ frame, wrong }) => [...summaryOf(frame), ...wrong.map((line) => `- ${line}`)].join('\n'));
    const more = frames.length > shown.length ? [`and ${frames.length - shown.length} more`] : [];
    return [...shown, ...more].join('\n\n');
  }

  /** Removes everything. Idempotent. */
  async close(): Promise<void> {
    if (!this.open) return;
    this.open = false;
    this.socket.close();
    await this.throwaway.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Whether kernel tests can run here: false if they can, else the reason, for a test's `skip`. */
export function cannotRun(): string | false {
  if (process.geteuid?.() !== 0) return 'needs root';
  return spawnSync('ip', ['-V'], { env: systemEnvironment() }).status === 0 ? false : 'needs iproute2';
}
