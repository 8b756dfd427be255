// SPDX-License-Identifier: MIT
/** Puts an impairment on the way back of a running interface, or takes it away. */
import { VnetError } from '../errors';
import { CONTROL } from '../datapath/layout';
import type { QueueControls } from '../datapath/queue-controls';
import { netemLosses, readWayBack } from '../datapath/way-back';
import { addNetem, readNetem, removeNetem } from '../link/netem';
import type { Netns } from '../link/netns';
import { commandAbout } from '../state/named';
import { saveAttachment, saveIfPossible, type Attachment, type ImpairmentRecord } from '../state/store';

/** The name of the hidden peer, where netem stands; a dummy has none. */
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
  /** Tells the poller that a qdisc stands between its socket and the interface. */
  tellPoller(impaired: boolean): Promise<void>;
  /** Whether it is being detached: then nothing may be recorded any more. */
  isClosing(): boolean;
}

/**
 * `words` are those of impairmentWords(); null takes the impairment away. An earlier one goes, with the frames that
 * are in it. What is going to be is recorded first: a controller that takes over after a kill must not believe that
 * there is no qdisc where there is one.
 */
export async function setImpairment(parts: Impairable, words: string[] | null): Promise<void> {
  const { attachment, controls, wireNetns, tellPoller } = parts;
  const end = impairableEnd(attachment);
  const recorded = attachment.impairment;
  if (!recorded && !words) return; // nothing to take away
  const before = recorded ?? firstRecord(parts);
  await tellPoller(true);
  if (parts.isClosing()) throw new VnetError('INTERFACE_GONE', `interface ${attachment.iface}`, 'is being detached', { hint: `${commandAbout('attach', attachment)} makes it again` });
  try {
    const lost = before.lost + wireNetns.run(() => takeAway(end, before, controls));
    attachment.impairment = { ...before, lost, words, enobufs: controls.sum(CONTROL.enobufs) };
    if (words) saveAttachment(attachment);
    else saveIfPossible(attachment);
    if (words) wireNetns.run(() => addNetem(end, words));
  } catch (error) {
    // A first one that could not be put in place has changed nothing; an earlier one is gone.
    attachment.impairment = recorded && attachment.impairment && { ...attachment.impairment, words: null };
    saveIfPossible(attachment);
    throw error;
  } finally {
    await tellPoller(Boolean(attachment.impairment?.words));
  }
}

function firstRecord({ attachment, controls }: Impairable): ImpairmentRecord {
  const { backlog } = readWayBack(attachment, controls.sum(CONTROL.rxPackets), 0);
  return { words: null, enobufs: 0, lost: 0, backlog };
}

/** Removes what stands there; returns the frames that it has dropped and takes along. */
function takeAway(end: string, record: ImpairmentRecord, controls: QueueControls): number {
  const netem = readNetem(end);
  if (!netem) return 0;
  const lost = netemLosses(netem, record, controls.sum(CONTROL.enobufs)) + netem.waiting;
  removeNetem(end);
  return lost;
}

/** After a crash: whether the impairment of the record is still there. One that is gone is forgotten. */
export function adoptImpairment({ impairment, peer }: Attachment, wireNetns: Netns): void {
  if (!impairment?.words || !peer) return;
  if (!wireNetns.run(() => readNetem(peer.name))) impairment.words = null;
}
