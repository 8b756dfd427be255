// SPDX-License-Identifier: MIT
/**
 * Puts an impairment on the reinject path of a running interface, changes it, or removes it. No frame is lost by it: an
 * impairment in place is changed in place; while one is added or removed nobody polls, and frames wait in the ring;
 * before one is removed, the frames in it are released.
 */
import { setTimeout as delay } from 'node:timers/promises';

import type { Impaired } from '../datapath/loop';
import type { QueueControls } from '../datapath/queue-gate';
import { netemLosses, readWayBack } from '../datapath/reinject-accounting';
import { commandAbout, VnetError } from '../errors';
import { lineOf, netemOptionsOf } from '../impair/settings';
import { CONTROL } from '../layout';
import { addNetem, changeNetem, readNetem, removeNetem } from '../link/netem';
import type { Netns } from '../link/netns';
import { clock } from '../native/clock';
import { saveAttachment, saveIfPossible, type Attachment, type ImpairmentRecord } from '../state/store';
import type { Polling } from './polling';

/** The name of the peer, where netem stands; a dummy has none. */
export function impairableEnd({ iface, peer }: Attachment): string {
  if (peer) return peer.name;
  throw new VnetError('UNSUPPORTED', `interface ${iface}`, 'is a dummy: it has no other end on which frames could be impaired', {
    hint: 'attach a veth, or use the hook src/examples/chaos.ts: docs/hooks.md',
  });
}

export interface Impairable {
  attachment: Attachment;
  controls: QueueControls;
  wireNetns: Netns;
  polling: Pick<Polling, 'setImpaired' | 'whileStopped'>;
  /** Whether it is being detached: then nothing may be recorded any more. */
  isClosing(): boolean;
}

/** Words that do nothing: of a netem that only lets go of what it has. */
const NEUTRAL = ['delay', '0ms'];
/** As long as frames may take that are still in a netem which is to be taken away; then they are lost. */
const DRAIN_MS = 5000;
const DRAIN_LOOK_MS = 5;

/** What the poller has to know of an impairment. */
export const impairedBy = (words: readonly string[] | null, queues: number): Impaired => words && { line: lineOf(words, queues) };

/** `words` are those of impairmentWords(); null takes the impairment away. If it fails, what was there stays. */
export async function setImpairment(parts: Impairable, words: string[] | null): Promise<void> {
  const { attachment, wireNetns } = parts;
  const end = impairableEnd(attachment);
  if (!attachment.impairment && !words) return; // nothing to take away
  checkOpen(parts);
  const present = wireNetns.run(() => readNetem(end)) !== null;
  if (words === null) {
    if (present) await drain(parts, end);
    await takeAway(parts, end);
  } else if (present && attachment.impairment) await changeInPlace(parts, end, attachment.impairment, words);
  else await putInPlace(parts, end, words);
}

function checkOpen({ attachment, isClosing }: Impairable): void {
  if (isClosing()) throw new VnetError('INTERFACE_GONE', `interface ${attachment.iface}`, 'is being detached', { hint: `${commandAbout('attach', attachment)} makes it again` });
}

/**
 * The record is written first, so that a controller that takes over after a kill does not believe that there is no qdisc
 * where there is one.
 */
async function changeInPlace({ attachment, controls, wireNetns, polling }: Impairable, end: string, recorded: ImpairmentRecord, words: string[]): Promise<void> {
  const netem = wireNetns.run(() => readNetem(end));
  const enobufs = controls.sum(CONTROL.enobufs);
  const known = netem ? { lost: recorded.lost + netemLosses(netem, recorded, enobufs), drops: netem.drops } : { lost: recorded.lost, drops: 0 };
  attachment.impairment = { ...recorded, ...known, enobufs, words };
  try {
    saveAttachment(attachment);
    wireNetns.run(() => changeNetem(end, netemOptionsOf(words, attachment.queues)));
  } catch (error) {
    attachment.impairment = recorded;
    saveIfPossible(attachment);
    throw error;
  }
  await polling.setImpaired(impairedBy(words, attachment.queues));
}

async function putInPlace(parts: Impairable, end: string, words: string[]): Promise<void> {
  const { attachment, controls, wireNetns, polling } = parts;
  const recorded = attachment.impairment;
  await polling.whileStopped(() => {
    checkOpen(parts);
    const before = recorded ?? { words: null, enobufs: 0, drops: 0, lost: 0, backlog: readWayBack(attachment, controls).backlog };
    attachment.impairment = { ...before, words, drops: 0, enobufs: controls.sum(CONTROL.enobufs) };
    try {
      saveAttachment(attachment);
      wireNetns.run(() => addNetem(end, netemOptionsOf(words, attachment.queues)));
    } catch (error) {
      attachment.impairment = recorded && { ...recorded, words: null };
      saveIfPossible(attachment);
      throw error;
    }
    return impairedBy(words, attachment.queues);
  });
}

/** Lets go of the frames that are in the netem, as they are due, while those that come pass at once. */
async function drain(parts: Impairable, end: string): Promise<void> {
  const { attachment, wireNetns } = parts;
  if (!attachment.impairment) return;
  await changeInPlace(parts, end, attachment.impairment, NEUTRAL);
  for (const until = clock.now() + DRAIN_MS; clock.now() < until; await delay(DRAIN_LOOK_MS)) {
    checkOpen(parts);
    if (wireNetns.run(() => readNetem(end)?.waiting ?? 0) === 0) return;
  }
}

async function takeAway(parts: Impairable, end: string): Promise<void> {
  const { attachment, controls, wireNetns, polling } = parts;
  await polling.whileStopped(() => {
    checkOpen(parts);
    const recorded = attachment.impairment as ImpairmentRecord;
    const netem = wireNetns.run(() => readNetem(end));
    const lost = netem ? netemLosses(netem, recorded, controls.sum(CONTROL.enobufs)) : 0;
    readWayBack(attachment, controls); // what was duplicated until now is not to be taken for what is lost now
    wireNetns.run(() => removeNetem(end));
    attachment.impairment = { ...recorded, lost: recorded.lost + lost, words: null };
    saveIfPossible(attachment);
    return null;
  });
}

/** After a crash: whether the impairment of the record is still there. One that is gone is forgotten. */
export function adoptImpairment({ impairment, peer }: Attachment, wireNetns: Netns): void {
  if (!impairment?.words || !peer) return;
  if (!wireNetns.run(() => readNetem(peer.name))) impairment.words = null;
}
