// SPDX-License-Identifier: MIT
/**
 * Watches vnet0 and follows its name, whether it is up, its MTU, its addresses, and whether it exists at all. Each look
 * reads the current state and acts on the differences. In between, the state may change again, the kernel may refuse a
 * change, and descriptors or disk space may run out. A step that fails is logged, and retried at the next look, which
 * comes within a second.
 */
import * as fs from 'node:fs';

import type { QueueControls } from '../datapath/queue-gate';
import { readReinjectAccounting } from '../datapath/reinject-accounting';
import { VnetError } from '../errors';
import { CONTROL } from '../layout';
import { addresses } from '../link/addresses';
import { lostAddresses, restoreLoop, shortCuts, syncHairpin, type HairpinAddress } from '../link/hairpin';
import { Ipv6Keeper } from '../link/ipv6';
import { linkByIndex, type Link } from '../link/links';
import { watchLinks } from '../link/monitor';
import type { Netns } from '../link/netns';
import { netnsName, openAttachmentNetns } from '../link/netns-record';
import { clock } from '../native/clock';
import { lockEverything, saveAttachment, type Attachment, type HairpinRecord } from '../state/store';
import { LinkSettingsKeeper } from './link-settings';
import { LinkLosses, type LossReason, RefusalNews, type Refused } from './losses';
import { RuleKeeper } from './rule-keeper';
import { type Attempts, type Finding, type Part, Repairs } from './supervisor';

export interface Followed {
  attachment: Attachment;
  /** The peer namespace, or that of a dummy. */
  peerNetns: Netns;
  /** Whether every address that appears on the interface is looped (`--hairpin`). */
  hairpinAll: boolean;
  attempts: Attempts;
  log: (text: string) => void;
  /**
   * Called when frames may have been lost: the interface is or was down, or has a smaller MTU, for which they are too
   * long.
   */
  changed: (reason: LossReason) => void;
  /** The interface was set up (true) or down (false). */
  turned: (up: boolean) => void;
  /** The interface was deleted, or moved to another namespace. Called once. */
  lost: () => void;
}

export class LinkFollower {
  private readonly rules: RuleKeeper;
  /** Ethernet addresses that the interface had before. */
  private readonly oldMacs = new Set<string>();
  private readonly ipv6 = new Ipv6Keeper();
  private isLost = false;
  /** Whether routes were missing at the last look. */
  private routesWereMissing = false;
  /** Addresses to loop that the interface does not have: it has lost them, and may get them again. */
  private lost: ReadonlySet<string> = new Set();
  /** Addresses that the interface does not loop, each with the name of the other interface that has it, too. */
  private shortCuts: ReadonlyMap<string, string> = new Map();
  private readonly settings: LinkSettingsKeeper;
  private readonly repairs: Repairs;

  /** `link` is the interface as it was when the attachment was made or adopted. */
  constructor(
    private readonly followed: Followed,
    private link: Link,
  ) {
    this.rules = new RuleKeeper({
      usualGroup: followed.attachment.taken?.group ?? 0,
      log: followed.log,
      now: () => clock.now(),
    });
    this.settings = new LinkSettingsKeeper(followed);
    this.repairs = new Repairs(followed.log);
  }

  /** The MTU that the peer was last given; null while it has to be given another one. */
  get mtuOfPeer(): number | null {
    return this.settings.mtuOfPeer;
  }

  /** Looks at the interface and acts on what has changed. Never throws. */
  look(): void {
    if (this.isLost) return;
    const { attempts, attachment } = this.followed;
    attempts.try(`looking at ${attachment.iface}`, () => {
      using netns = openAttachmentNetns(attachment);
      const link = netns?.run(() => linkByIndex(attachment.ifindex)) ?? null;
      if (netns && link && (!attachment.peer || link.peerIfindex === attachment.peer.ifindex))
        return this.follow(link, netns);
      requireDescriptors();
      if (!netns && this.hasPeer())
        throw new VnetError('BUSY', 'its namespace', 'no name, mount, process or descriptor leads to it', {
          hint: 'umount what hides it, or: ip netns attach NAME PID',
        });
      this.isLost = true;
      this.followed.lost();
    });
  }

  /** Whether the peer is there: it goes with the interface, and that goes with its namespace. */
  private hasPeer(): boolean {
    const { attachment, peerNetns } = this.followed;
    const { peer, ifindex } = attachment;
    return peer !== null && peerNetns.run(() => linkByIndex(peer.ifindex))?.peerIfindex === ifindex;
  }

  private follow(link: Link, netns: Netns): void {
    const { attachment, attempts, hairpinAll, log, changed, turned } = this.followed;
    const before = this.link;
    this.link = link;
    if (link.name !== attachment.iface) this.renamed(attachment.iface, link.name);
    // An interface that went down and up between two looks has lost its carrier meanwhile.
    if (link.up !== before.up || link.settings.carrierDowns !== before.settings.carrierDowns) changed('down');
    if (link.mtu < before.mtu) changed('toolong');
    if (link.up !== before.up) {
      log(`${link.name} set ${link.up ? 'up' : 'down'}`);
      turned(link.up);
    }
    if (link.mtu !== before.mtu) log(`${link.name} has mtu ${link.mtu}, was ${before.mtu}`);
    this.settings.look(link, before, netns);
    if (link.mac !== before.mac) this.oldMacs.add(before.mac);
    this.oldMacs.delete(link.mac);
    // New addresses first: a program may already be sending to one.
    if (hairpinAll) attempts.try(`following the addresses of ${link.name}`, () => this.followAddresses(link, netns));
    if (!attachment.taken) attempts.try(`IPv6 of ${link.name}`, () => netns.run(() => this.followIpv6(link)));
    const { hairpin } = attachment;
    if (!hairpin || hairpin.addresses.length === 0) return;
    attempts.try(`the routing rules of ${link.name}`, () => netns.run(() => this.rules.look(link.ifindex, hairpin)));
    const stayedUp = before.up && link.settings.carrierDowns === before.settings.carrierDowns;
    const lostBefore = this.lost;
    attempts.try(`addresses of ${link.name}`, () => this.noteLost(link, hairpin, netns));
    if (link.up)
      attempts.try(`routes of ${link.name}`, () => this.restoreLoop(link, hairpin, netns, stayedUp, lostBefore));
    attempts.try(`looped addresses of ${link.name}`, () => this.noteShortCuts(link, hairpin, netns));
  }

  private noteLost(link: Link, hairpin: HairpinRecord, netns: Netns): void {
    const before = this.lost;
    const lost = netns.run(() => lostAddresses(link.ifindex, hairpin));
    this.lost = lost;
    const news = [...lost].filter((address) => !before.has(address)).join(', ');
    if (news !== '') this.followed.log(`${link.name} has lost ${news}: each is looped again once it is added again`);
    const back = [...before].filter((address) => !lost.has(address)).join(', ');
    if (back !== '') this.followed.log(`${link.name} has ${back} again, and loops it`);
  }

  private noteShortCuts(link: Link, hairpin: HairpinRecord, netns: Netns): void {
    const before = this.shortCuts;
    const present = hairpin.addresses.filter(({ address }) => !this.lost.has(address));
    this.shortCuts = netns.run(() => shortCuts(link.ifindex, { ...hairpin, addresses: present }));
    for (const [address, other] of this.shortCuts)
      if (before.get(address) !== other) this.followed.log(notLooped(link.name, address, other));
    for (const address of before.keys())
      if (!this.shortCuts.has(address)) this.followed.log(`${link.name}: ${address} has no short cut any more`);
  }

  /** Warnings to show at the start: addresses that are not looped. */
  warnings(): string[] {
    const { attachment } = this.followed;
    const { hairpin, iface, ifindex } = attachment;
    using netns = openAttachmentNetns(attachment);
    if (!netns || !hairpin) return [];
    return [...netns.run(() => shortCuts(ifindex, hairpin))].map(([address, other]) =>
      notLooped(iface, address, other),
    );
  }

  /**
   * Restores missing routes. If the interface stayed up, another program has removed them. It may do so again and
   * again; that is logged once, and in the end left alone: the machine then answers for the addresses directly.
   */
  private restoreLoop(
    link: Link,
    hairpin: HairpinRecord,
    netns: Netns,
    stayedUp: boolean,
    lostBefore: ReadonlySet<string>,
  ): void {
    if (stayedUp && this.repairs.isPaused('routes')) return;
    const missing = netns.run(() => restoreLoop(link, hairpin, this.lost, this.oldMacs));
    const wereMissing = missing.some((address) => !lostBefore.has(address));
    if (wereMissing && stayedUp && !this.routesWereMissing)
      this.followed.log(
        `${link.name}: somebody removed routes of looped addresses, which were not looped meanwhile: they are there again`,
      );
    this.routesWereMissing = wereMissing;
    const fight = (minutes: number): string =>
      `${link.name}: somebody keeps removing routes of looped addresses; the next try is in ${minutes} min`;
    if (wereMissing && stayedUp) this.repairs.may('routes', fight);
  }

  private followIpv6(link: Link): void {
    const fight = (minutes: number): string =>
      `somebody keeps setting net.ipv6.conf.${link.name}.accept_dad: new addresses are detected as duplicates first; the next try is in ${minutes} min`;
    if (this.ipv6.look(link, () => this.repairs.may('accept_dad', fight)))
      this.followed.log(
        `${link.name}: detection of duplicate addresses was on, which comes with a new start of IPv6: it is off again`,
      );
  }

  private renamed(from: string, to: string): void {
    const { attachment, log } = this.followed;
    attachment.iface = to;
    attachment.netns.name = netnsName(attachment.netns);
    log(`${from} is called ${to} now`);
    this.save();
  }

  private followAddresses(link: Link, netns: Netns): void {
    const { attachment, log } = this.followed;
    const wanted: HairpinAddress[] = netns
      .run(() => addresses(link.name))
      .filter((entry) => entry.global)
      .map(({ family, address }) => ({ family, address }));
    const key = (list: readonly HairpinAddress[]): string =>
      list
        .map((entry) => entry.address)
        .sort()
        .join();
    if (key(wanted) === key(attachment.hairpin?.addresses ?? [])) return;
    // The name may be that of another interface by now. These addresses are not ours then, and another look follows.
    if (netns.run(() => linkByIndex(link.ifindex))?.name !== link.name) return;
    using _lock = lockEverything(0);
    attachment.hairpin = netns.run(() => syncHairpin(link.name, link.ifindex, wanted, attachment.hairpin, 'whenUp'));
    this.save();
    log(`${link.name} loops ${wanted.map((entry) => entry.address).join(', ') || 'no address'}`);
  }

  /** Writes the record. What cannot be written now, the supervisor writes later. */
  private save(): void {
    const { attachment, attempts } = this.followed;
    attempts.try(`the record of ${attachment.iface}`, () => saveAttachment(attachment));
  }
}

const notLooped = (iface: string, address: string, other: string): string =>
  `${iface}: ${address} is not looped: ${other} has this address, too, and comes first`;

/** Throws while this process cannot open any file: something that is not found then need not be gone. */
function requireDescriptors(): void {
  for (const fd of [fs.openSync('/dev/null', 'r'), fs.openSync('/proc/thread-self/ns/net', 'r')]) fs.closeSync(fd);
}

export interface Watched extends Omit<Followed, 'changed'> {
  controls: QueueControls;
  /** Writes the record: the attachment's losses have grown. */
  save: () => void;
}

/**
 * Makes a follower look when the kernel reports a change, and once a second in case a message was lost or a step
 * failed. Counts and announces the frames that a change has cost.
 */
export class LinkWatch implements Disposable {
  private readonly losses: LinkLosses;
  private readonly news: RefusalNews;
  private follower: LinkFollower | undefined;
  private messages: { close(): void } | undefined;
  private closed = false;

  constructor(private readonly watched: Watched) {
    const { attachment, log, save } = watched;
    this.losses = new LinkLosses(attachment.lostByChange, () => this.refused().backlog, save);
    this.news = new RefusalNews(
      () => this.refused(),
      (what) => log(`${attachment.iface} refused ${what}`),
    );
  }

  /** Starts to follow the link; `link` is the interface as it was when the attachment was made or adopted. */
  begin(link: Link): void {
    const changed = (reason: LossReason): void => {
      this.news.changed();
      this.losses.changed(reason);
    };
    this.follower = new LinkFollower({ ...this.watched, changed }, link);
    this.messages = this.open();
    // Catches up on what happened before the watch began. A caller that waits for the interface need not wait for that.
    setImmediate(() => this.look());
  }

  /** Warnings to show when the interface is ready. */
  warnings(): string[] {
    return this.follower?.warnings() ?? [];
  }

  /** The MTU that the peer was last given; null while it has to be given another one. */
  get mtuOfPeer(): number | null {
    return this.follower?.mtuOfPeer ?? null;
  }

  /** The watch as a part that the supervisor looks at. */
  get part(): Part {
    return { name: 'the link', look: () => this.lookAgain() };
  }

  private open(): { close(): void } {
    const { ifindex, peer } = this.watched.attachment;
    // Changes of the peer are reported even if the namespace of vnet0 is gone.
    return watchLinks(
      this.watched.peerNetns,
      peer ? [ifindex, peer.ifindex] : [ifindex],
      () => this.look(),
      () => this.fail(),
    );
  }

  private look(): void {
    if (!this.closed) this.follower?.look();
  }

  private lookAgain(): Finding | null {
    this.look();
    this.losses.look();
    this.news.look();
    if (this.messages || this.closed) return null;
    return {
      what: `the watch over ${this.watched.attachment.iface} has ended`,
      repair: () => (this.messages = this.open()),
      always: true,
    };
  }

  private refused(): Refused & { backlog: number } {
    const { attachment, controls } = this.watched;
    const [down, toolong] = [CONTROL.refusedDown, CONTROL.refusedToolong].map((offset) => controls.sum(offset)) as [
      number,
      number,
    ];
    const { backlog } = readReinjectAccounting(attachment, controls);
    const { lostByChange } = attachment;
    return { down: down + lostByChange.down, toolong: toolong + lostByChange.toolong, backlog };
  }

  /** Closes the watch. Meanwhile the supervisor's looks follow the link, and open another watch. */
  fail(): void {
    this.messages?.close();
    this.messages = undefined;
  }

  close(): void {
    this.closed = true;
    this.fail();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
