// SPDX-License-Identifier: MIT
/**
 * Adds, changes or removes an impairment on the reinject path of a running interface. No frame is lost: polling stops
 * meanwhile and frames wait in the ring, an impairment in place is changed in place, and before one is removed, the
 * frames in it are released. Only while polling is stopped are all refusals counted of which netem's counter knows.
 */
import { setTimeout as delay } from 'node:timers/promises';

import type { Impaired } from '../datapath/loop';
import type { QueueControls } from '../datapath/queue-gate';
import { netemLosses, readReinjectAccounting } from '../datapath/reinject-accounting';
import { commandAbout, VnetError } from '../errors';
import { lineOf, netemOptionsOf } from '../impair/settings';
import { CONTROL } from '../layout';
import { addNetem, changeNetem, readNetem, removeNetem } from '../link/netem';
import type { Netns } from '../link/netns';
import { clock } from '../native/clock';
import { saveAttachment, saveIfPossible, type Attachment, type ImpairmentRecord } from '../state/store';
import type { Polling } from './polling';

/** The name of the peer, whose root qdisc is netem. Throws UNSUPPORTED for a dummy, which has no peer. */
export function impairableEnd({ iface, peer }: Attachment): string {
  if (peer) return peer.name;
  throw new VnetError(
    'UNSUPPORTED',
    `interface ${iface}`,
    'is a dummy: it has no other end on which frames could be impaired',
    {
      hint: 'attach a veth, or use the hook src/examples/chaos.ts: docs/hooks.md',
    },
  );
}

export interface Impairable {
  attachment: Attachment;
  controls: QueueControls;
  peerNetns: Netns;
  polling: Pick<Polling, 'whileStopped'>;
  /** Whether the interface is being detached; nothing may be recorded any more then. */
  isClosing(): boolean;
}

/** Words without any effect, for a netem that only releases the frames that it has. */
const NEUTRAL = ['delay', '0ms'];
/** Time that frames in a netem have to leave before it is removed, in milliseconds. The rest is lost. */
const DRAIN_MS = 5000;
const DRAIN_LOOK_MS = 5;

/** What the poller has to know about an impairment. */
export const impairedBy = (words: readonly string[] | null, queues: number): Impaired =>
  words && { line: lineOf(words, queues) };

/**
 * Applies the impairment in `words`, as impairmentWords() returns them, or removes it (null). If that fails, what was
 * in place stays.
 */
export async function setImpairment(parts: Impairable, words: string[] | null): Promise<void> {
  const { attachment, peerNetns } = parts;
  const end = impairableEnd(attachment);
  if (!attachment.impairment && !words) return; // nothing to take away
  checkOpen(parts);
  const present = peerNetns.run(() => readNetem(end)) !== null;
  if (words === null) {
    if (present) await drain(parts, end);
    await takeAway(parts, end);
  } else if (present && attachment.impairment) await changeInPlace(parts, end, words);
  else await putInPlace(parts, end, words);
}

function checkOpen({ attachment, isClosing }: Impairable): void {
  if (isClosing())
    throw new VnetError('INTERFACE_GONE', `interface ${attachment.iface}`, 'is being detached', {
      hint: `${commandAbout('attach', attachment)} makes it again`,
    });
}

/**
 * Changes the netem in place. The record is written first, so that a controller that takes over after a kill knows that
 * there is a qdisc.
 */
async function changeInPlace(parts: Impairable, end: string, words: string[]): Promise<void> {
  const { attachment, controls, peerNetns, polling } = parts;
  await polling.whileStopped(() => {
    checkOpen(parts);
    const recorded = attachment.impairment as ImpairmentRecord;
    const netem = peerNetns.run(() => readNetem(end));
    const enobufs = controls.sum(CONTROL.enobufs);
    const known = netem
      ? { lost: recorded.lost + netemLosses(netem, recorded, enobufs), drops: netem.drops }
      : { lost: recorded.lost, drops: 0 };
    attachment.impairment = { ...recorded, ...known, enobufs, words };
    try {
      saveAttachment(attachment);
      peerNetns.run(() => changeNetem(end, netemOptionsOf(words, attachment.queues)));
    } catch (error) {
      attachment.impairment = recorded;
      saveIfPossible(attachment);
      throw error;
    }
    return impairedBy(words, attachment.queues);
  });
}

async function putInPlace(parts: Impairable, end: string, words: string[]): Promise<void> {
  const { attachment, controls, peerNetns, polling } = parts;
  const recorded = attachment.impairment;
  await polling.whileStopped(() => {
    checkOpen(parts);
    const before = recorded ?? {
      words: null,
      enobufs: 0,
      drops: 0,
      lost: 0,
      backlog: readReinjectAccounting(attachment, controls).backlog,
    };
    attachment.impairment = { ...before, words, drops: 0, enobufs: controls.sum(CONTROL.enobufs) };
    try {
      saveAttachment(attachment);
      peerNetns.run(() => addNetem(end, netemOptionsOf(words, attachment.queues)));
    } catch (error) {
      attachment.impairment = recorded && { ...recorded, words: null };
      saveIfPossible(attachment);
      throw error;
    }
    return impairedBy(words, attachment.queues);
  });
}

/** Waits for the frames in the netem to leave when they are due, while new frames pass at once. */
async function drain(parts: Impairable, end: string): Promise<void> {
  const { attachment, peerNetns } = parts;
  if (!attachment.impairment) return;
  await changeInPlace(parts, end, NEUTRAL);
  for (const until = clock.now() + DRAIN_MS; clock.now() < until; await delay(DRAIN_LOOK_MS)) {
    checkOpen(parts);
    if (peerNetns.run(() => readNetem(end)?.waiting ?? 0) === 0) return;
  }
}

async function takeAway(parts: Impairable, end: string): Promise<void> {
  const { attachment, controls, peerNetns, polling } = parts;
  await polling.whileStopped(() => {
    checkOpen(parts);
    const recorded = attachment.impairment as ImpairmentRecord;
    const netem = peerNetns.run(() => readNetem(end));
    const lost = netem ? netemLosses(netem, recorded, controls.sum(CONTROL.enobufs)) : 0;
    readReinjectAccounting(attachment, controls); // so that frames duplicated until now are not mistaken for frames lost now
    peerNetns.run(() => removeNetem(end));
    attachment.impairment = { ...recorded, lost: recorded.lost + lost, words: null };
    saveIfPossible(attachment);
    return null;
  });
}

/**
 * After a crash: checks that the impairment in the record is still in place. If it is not, the record no longer names
 * it.
 */
export function adoptImpairment({ impairment, peer }: Attachment, peerNetns: Netns): void {
  if (!impairment?.words || !peer) return;
  if (!peerNetns.run(() => readNetem(peer.name))) impairment.words = null;
}
