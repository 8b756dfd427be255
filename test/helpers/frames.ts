// SPDX-License-Identifier: MIT
/** Frames made by hand, each recognizable, so that a test finds its own among background traffic. */
import { randomBytes } from 'node:crypto';

import { ok } from './netns';

export const ETH_HEADER_BYTES = 14;
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';
/** An EtherType for local experiments (IEEE 802): no protocol handler takes such a frame. */
export const LOCAL_EXPERIMENT = 0x88b5;

export const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

/** The Ethernet address of an interface. */
export function macOf(netns: string, iface: string): string {
  const [link] = JSON.parse(ok('ip', ['-n', netns, '-json', 'link', 'show', 'dev', iface])) as [{ address: string }];
  return link.address;
}

export interface FrameParts {
  destination?: string;
  source?: string;
  type?: number;
  /** Each 802.1Q or 802.1ad tag: TPID and TCI. */
  tags?: readonly (readonly [number, number])[];
  payload: Uint8Array;
}

export function ethernet(parts: FrameParts): Buffer {
  const { destination = BROADCAST, source = '02:00:00:00:0e:01', type = LOCAL_EXPERIMENT, tags = [], payload } = parts;
  const words = [...tags.flat(), type];
  const types = Buffer.alloc(words.length * 2);
  words.forEach((word, i) => types.writeUInt16BE(word, i * 2));
  return Buffer.concat([macBytes(destination), macBytes(source), types, payload]);
}

/** A frame of exactly `bytes` bytes, random after the header. */
export const frameOf = (bytes: number, parts: Omit<FrameParts, 'payload'> = {}): Buffer =>
  ethernet({ ...parts, payload: randomBytes(bytes - ETH_HEADER_BYTES - 4 * (parts.tags?.length ?? 0)) });

/** Returns a predicate for frames with that source address. */
export const from = (source: string): ((frame: Buffer) => boolean) => {
  const bytes = macBytes(source);
  return (frame) => frame.subarray(6, 12).equals(bytes);
};

/**
 * The differences between the frames sent and the frames received, one line per frame. A dump of both would be too long
 * to read.
 */
export function differences(sent: readonly Buffer[], received: readonly Buffer[]): string[] {
  const show = (frame: Buffer | undefined): string =>
    frame ? `${frame.length} bytes ${frame.subarray(0, 24).toString('hex')}` : 'nothing';
  return Array.from({ length: Math.max(sent.length, received.length) }, (_, i) => i)
    .filter((i) => !(sent[i] && received[i]?.equals(sent[i])))
    .map((i) => `frame ${i}: sent ${show(sent[i])}, got ${show(received[i])}`);
}
