// SPDX-License-Identifier: MIT
/**
 * Adds, changes or removes an impairment on the reinject path of a running interface. No frame is lost: polling stops
 * meanwhile and frames wait in the ring, an impairment in place is changed in place, and before one is removed, the
 * frames in it are released. Only while polling is stopped are all refusals counted of which netem's counter knows.
 *
 * Where the kernel has no netem, rules of faults do the same (src/faults/impairment.ts).
 */
import { setTimeout as delay } from 'node:timers/promises';

import type { Impaired } from '../datapath/loop';
import type { QueueControls } from '../datapath/queue-gate';
import { impairmentByRules, netemLosses, readReinjectAccounting, waitingFrames } from '../datapath/reinject-accounting';
import { commandAbout, VnetError } from '../errors';
import type { FaultsWish } from '../faults/source';
import { lineOf, netemOptionsOf } from '../impair/settings';
import { CONTROL } from '../layout';
import { addNetem, changeNetem, type NetemOptions, NoNetem, readNetem, removeNetem } from '../link/netem';
import type { Netns } from '../link/netns';
import { clock } from '../native/clock';
import { Turns } from '../native/turns';
import { randomSeed } from '../options/values';
import {
  impairedBy,
  saveAttachment,
  saveIfPossible,
  type Attachment,
  type ImpairmentByRules,
  type ImpairmentRecord,
} from '../state/store';
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
  polling: Pick<Polling, 'whileStopped' | 'use'>;
  /** Whether the interface is being detached; nothing may be recorded any more then. */
  isClosing(): boolean;
}

/** Words without any effect, for a netem that only releases the frames that it has. */
const NEUTRAL = ['delay', '0ms'];
/** Time that frames in a netem have to leave before it is removed, in milliseconds. The rest is lost. */
const DRAIN_MS = 5000;
const DRAIN_LOOK_MS = 5;

/** What the poller has to know about the impairment of an interface. */
export const netemOf = ({ impairment, queues }: Attachment): Impaired =>
  behindPoller(impairedBy(impairment) === 'netem' ? (impairment?.words ?? null) : null, queues);

const behindPoller = (words: readonly string[] | null, queues: number): Impaired =>
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
  if (impairedBy(attachment.impairment) === 'faults') return setByRules(parts, words);
  const present = peerNetns.run(() => readNetem(end)) !== null;
  if (words === null) {
    if (present) await drain(parts, end);
    await takeAway(parts, end);
  } else if (present && attachment.impairment) await changeInPlace(parts, end, words);
  else
    await putInPlace(parts, end, words).catch((error: unknown) => {
      if (!(error instanceof NoNetem)) throw error;
      return setByRules(parts, words);
    });
}

/** Throws INTERFACE_GONE while the interface is being detached: nothing may be begun any more. */
export function checkOpen({ attachment, isClosing }: Pick<Impairable, 'attachment' | 'isClosing'>): void {
  if (isClosing())
    throw new VnetError('INTERFACE_GONE', `interface ${attachment.iface}`, 'is being detached', {
      hint: `${commandAbout('attach', attachment)} makes it again`,
    });
}

/**
 * Records an impairment, and makes its netem with `make`; returns what the poller has to know of it. The record is
 * written first, so that a controller that takes over after a kill knows that there is a qdisc. If that fails, `before`
 * is recorded. Polling must be stopped.
 */
function apply(
  { attachment, peerNetns }: Impairable,
  record: ImpairmentRecord & { words: string[] },
  before: ImpairmentRecord | null,
  make: (options: NetemOptions) => void,
): Impaired {
  const { queues } = attachment;
  attachment.impairment = record;
  try {
    saveAttachment(attachment);
    peerNetns.run(() => make(netemOptionsOf(record.words, queues)));
  } catch (error) {
    attachment.impairment = before;
    saveIfPossible(attachment);
    throw error;
  }
  return behindPoller(record.words, queues);
}

/** The record with what its netem has lost until now, by the counters of both. Polling must be stopped. */
function upToNow({ controls, peerNetns }: Impairable, end: string, recorded: ImpairmentRecord): ImpairmentRecord {
  const netem = peerNetns.run(() => readNetem(end));
  const enobufs = controls.sum(CONTROL.enobufs);
  const lost = recorded.lost + (netem ? netemLosses(netem, recorded, enobufs) : 0);
  return { ...recorded, lost, drops: netem?.drops ?? 0, enobufs };
}

async function changeInPlace(parts: Impairable, end: string, words: string[]): Promise<void> {
  await parts.polling.whileStopped(() => {
    checkOpen(parts);
    const recorded = parts.attachment.impairment as ImpairmentRecord;
    return apply(parts, { ...upToNow(parts, end, recorded), words }, recorded, (options) => changeNetem(end, options));
  });
}

async function putInPlace(parts: Impairable, end: string, words: string[]): Promise<void> {
  const { attachment, controls, polling } = parts;
  const recorded = attachment.impairment;
  await polling.whileStopped(() => {
    checkOpen(parts);
    const { lost, backlog } = recorded ?? { lost: 0, backlog: readReinjectAccounting(attachment, controls).backlog };
    const byRules = recorded?.byRules ?? null;
    const record = { words, enobufs: controls.sum(CONTROL.enobufs), drops: 0, lost, backlog, byRules };
    return apply(parts, record, recorded && { ...recorded, words: null }, (options) => addNetem(end, options));
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
    const { lost } = upToNow(parts, end, recorded);
    readReinjectAccounting(attachment, controls); // so that frames duplicated until now are not mistaken for frames lost now
    peerNetns.run(() => removeNetem(end));
    attachment.impairment = { ...recorded, lost, words: null };
    saveIfPossible(attachment);
    return null;
  });
}

/** The impairment of a running interface. Orders run one at a time. */
export class Impairer {
  private readonly turns = new Turns();

  /** `parts` is called for each order. */
  constructor(
    private readonly parts: () => Impairable,
    private readonly log: (text: string) => void,
  ) {}

  /** As setImpairment(). */
  set(words: string[] | null): Promise<void> {
    return this.turns.take(() => this.setNow(words));
  }

  private async setNow(words: string[] | null): Promise<void> {
    const parts = this.parts();
    await setImpairment(parts, words);
    const { iface } = parts.attachment;
    this.log(words ? `${iface} is impaired: ${words.join(' ')}` : `${iface} is not impaired any more`);
  }
}

// Without netem: rules in place of a hook. Their frames wait in the memory of the hook's thread, and count there.

async function setByRules(parts: Impairable, words: string[] | null): Promise<void> {
  const { attachment, controls, polling } = parts;
  const before = attachment.impairment;
  if (words === null) {
    await polling.use('impairment', { faults: { impairment: NEUTRAL, seed: 0 } }, null);
    await waitForNone(parts);
    await polling.use('impairment', null, null);
    attachment.impairment = before && withoutRules(before, controls);
    saveIfPossible(attachment);
    return;
  }
  // The record is written first, as with netem.
  attachment.impairment = { ...withRules(before, attachment, controls), words };
  try {
    saveAttachment(attachment);
    await polling.use('impairment', impairmentWish(words), null);
  } catch (error) {
    attachment.impairment = before;
    saveIfPossible(attachment);
    throw error;
  }
}

export const impairmentWish = (words: string[]): { faults: FaultsWish } => ({
  faults: { impairment: words, seed: randomSeed() },
});

/** Waits for the frames that wait, while new frames pass at once. */
async function waitForNone(parts: Impairable): Promise<void> {
  const { controls } = parts;
  for (
    const until = clock.now() + DRAIN_MS;
    clock.now() < until && waitingFrames(controls) > 0;
    await delay(DRAIN_LOOK_MS)
  )
    checkOpen(parts);
}

const hookCounters = (controls: QueueControls): { dropped: number; injected: number } => ({
  dropped: controls.sum(CONTROL.hooksDropped),
  injected: controls.sum(CONTROL.hooksInjected),
});

function withRules(before: ImpairmentRecord | null, attachment: Attachment, controls: QueueControls): ImpairmentRecord {
  const { dropped, injected, since } = before?.byRules ?? { dropped: 0, injected: 0, since: null };
  const byRules: ImpairmentByRules = { dropped, injected, since: since ?? hookCounters(controls) };
  if (before) return { ...before, byRules };
  const { backlog } = readReinjectAccounting(attachment, controls);
  return { words: null, enobufs: controls.sum(CONTROL.enobufs), drops: 0, lost: 0, backlog, byRules };
}

/** The record of an impairment by rules that has ended. */
function withoutRules(record: ImpairmentRecord, controls: QueueControls): ImpairmentRecord {
  const { dropped, injected } = impairmentByRules(record, controls);
  return { ...record, words: null, byRules: { dropped, injected, since: null } };
}

/** Ends the record of an impairment by rules in whose place something else is put. */
export function forgetRules(attachment: Attachment, controls: QueueControls): void {
  const { impairment } = attachment;
  if (impairment && impairedBy(impairment) === 'faults') attachment.impairment = withoutRules(impairment, controls);
}

/**
 * After a crash: checks that the impairment in the record is still in place. If it is not, the record no longer names
 * it.
 */
export function adoptImpairment({ impairment, peer }: Attachment, peerNetns: Netns): void {
  if (impairedBy(impairment) !== 'netem' || !impairment || !peer) return;
  if (!peerNetns.run(() => readNetem(peer.name))) impairment.words = null;
}
