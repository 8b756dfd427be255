// SPDX-License-Identifier: MIT
/** A running interface: the loop's worker thread, the events, and what happens to the link. */
import { EventEmitter } from 'node:events';
import * as fs from 'node:fs';

import { roomFrameMax } from '../datapath/credit';
import { merges, queuesOf, type Datapath } from '../datapath/datapath';
import { CONTROL } from '../datapath/layout';
import { PacketSocket } from '../datapath/packet-socket';
import { increment } from '../datapath/poller';
import type { PollRequest } from '../datapath/polled-interface';
import { QueueControls } from '../datapath/queue-controls';
import { heldNow } from '../datapath/queue-gate';
import type { SharedWords } from '../datapath/shared-memory';
import { closeRoomSockets, openRoomSockets, type RoomSockets } from '../datapath/waiting-room';
import { VnetError } from '../errors';
import { removeHairpin, restoreRoutes, syncHairpin, type HairpinAddress } from '../link/hairpin';
import { addresses } from '../link/addresses';
import { linkByIndex, type Link } from '../link/links';
import { watchLinks } from '../link/monitor';
import { qdiscsOf } from '../link/qdisc';
import { roomBacklog } from '../link/room';
import { netnsName, type Netns } from '../link/netns';
import { openRtnetlink } from '../link/rtnetlink';
import { followMtu } from '../link/veth';
import type { FileLock } from '../state/lock';
import { named } from '../state/named';
import { controlSocket, lockEverything, logFile, saveAttachment, type Attachment } from '../state/store';
import { ControlServer } from './control-socket';
import { EventLog, QueueAnnouncer, type QueueReading } from './events';
import { finishBatches } from './finish-batch';
import { setImpairment } from './impairing';
import { loopOrders } from './loop-orders';
import { Recording, type RecordingRequest } from './recording';
import { RecorderOrders } from './recorder-orders';
import { Polling, spreadOf, type HookWish } from './polling';
import { openAttachmentNetns, teardown } from './teardown';

/** How long held frames must not move before they can be called lost. */
const SETTLE_MS = 100;

export interface ControllerParts {
  attachment: Attachment;
  datapath: Datapath;
  lock: FileLock;
  /** Where frames are reinjected: the hidden namespace of a veth's peer, or a dummy's own. Owned. */
  wireNetns: Netns;
  /** Loop whatever address appears on the interface. */
  hairpinAll: boolean;
}

interface ControllerEvents {
  /** The interface is gone, or the poller is: there is nothing left to do but to detach. */
  gone: [VnetError];
  /** The queue has stopped or woken. */
  queue: [];
  /** Somebody set it up (true) or down. */
  link: [boolean];
  /** An error in a hook, or several added up. */
  hookError: [string];
  /** Nothing is left of it. */
  detached: [];
}

export class Controller extends EventEmitter<ControllerEvents> {
  private readonly log: EventLog;
  private readonly controls: QueueControls;
  /** One for each queue. */
  private readonly sockets: readonly PacketSocket[];
  private readonly linkSocket: number;
  /** One pair for each queue's waiting room; empty where frames are refused instead of held. */
  private readonly roomSockets: readonly RoomSockets[];
  private readonly announcer: QueueAnnouncer;
  private readonly recorder: RecorderOrders;
  private polling: Polling | undefined;
  private orders: ControlServer | undefined;
  private watch: { close(): void } | undefined;
  private link: Link | null = null;
  private closing: Promise<void> | undefined;

  constructor(private readonly parts: ControllerParts) {
    super();
    const { attachment, datapath, wireNetns } = parts;
    this.log = new EventLog(logFile(attachment.id));
    this.controls = new QueueControls(datapath.maps.control);
    const reinjectOn = attachment.peer?.ifindex ?? attachment.ifindex;
    this.sockets = wireNetns.run(() => this.controls.queues.map(() => PacketSocket.open(reinjectOn, attachment.reinjectMark)));
    this.linkSocket = wireNetns.run(openRtnetlink);
    this.roomSockets = wireNetns.run(() => attachment.rooms.map(({ entry }) => openRoomSockets(entry.ifindex)));
    this.recorder = new RecorderOrders(() => this.attachment.iface, this.controls.first, (request) => this.record(request));
    this.announcer = new QueueAnnouncer(
      () => this.attachment.iface,
      () => this.queueReading(),
      (text) => this.log.write(text),
    );
  }

  queueReading(): QueueReading {
    return {
      stops: this.controls.sum(CONTROL.stops),
      wakes: this.controls.sum(CONTROL.wakesTx) + this.controls.sum(CONTROL.wakesPoller),
      stopped: this.controls.stopped,
    };
  }

  /** Whether it is being detached, or has been. */
  get isClosing(): boolean {
    return this.closing !== undefined;
  }

  get attachment(): Attachment {
    return this.parts.attachment;
  }

  /** Starts the loop; resolves when the interface is polled. */
  async start(hook: HookWish | null): Promise<void> {
    const { datapath, attachment } = this.parts;
    const { id, budget, busyPollUs, ringBytes, queuePackets, lowWatermarkBytes, lowWatermarkPackets, peer } = attachment;
    const frameMax = roomFrameMax(attachment.superpacketBytes);
    const limits = { ringBytes, frameMax, queuePackets, lowWatermarkBytes, lowWatermarkPackets: queuePackets > 0 ? lowWatermarkPackets : Infinity };
    const queues = queuesOf(datapath.maps);
    const requests = queues.map(({ queue, ring, control, batch }) => ({
      key: id,
      queue,
      ringFd: ring.fd,
      controlFd: control.fd,
      batchFd: batch.fd,
      socketFd: (this.sockets[queue] as PacketSocket).fd,
      budget,
      gro: merges(attachment),
      busyPollUs,
      limits,
      wire: queues.length === 1 && peer ? { ifindex: peer.ifindex, socketFd: this.linkSocket } : null,
      room: this.roomOf(queue),
    }));
    this.polling = new Polling({
      interface: attachment.iface,
      mac: () => this.lookAtLink()?.mac ?? '',
      requests,
      // For tests only: a slow poller fills the queue at will. Microseconds after each batch.
      pollDelayUs: Number(process.env['VNET_BPF_TEST_POLL_DELAY_US'] ?? 0),
      impaired: Boolean(attachment.impairment?.words),
      spread: spreadOf(attachment),
      events: {
        queue: () => this.queueChanged(),
        stalled: (queue) => this.lookIntoRoom(queue),
        died: (error) => this.emit('gone', error),
        log: (text) => this.log.write(text),
        error: (text) => this.hookFailed(text),
      },
      hookChanged: (hook) => this.noteHook({ hook: hook?.file ?? null, onHookError: hook?.onError ?? null }),
      hookDown: (why) => this.noteHook({ hookDown: why }),
      finishBatches: () => finishBatches(datapath),
      countError: () => increment(this.controls.first, CONTROL.hooksErrors),
    });
    await this.polling.start(hook);
    if (hook) this.log.write(`hook ${hook.file} on ${attachment.iface}`);
    this.orders = await ControlServer.listen(controlSocket(id), { detach: () => this.detach(), ...loopOrders(this), ...this.recorder.orders });
  }

  /** A queue's waiting room; null where frames are refused instead of held. */
  private roomOf(queue: number): PollRequest['room'] {
    const room = this.attachment.rooms[queue];
    const sockets = this.roomSockets[queue];
    return room && sockets ? { ...sockets, ifindex: room.entry.ifindex } : null;
  }

  /** What hooks and the debugger are told to do. */
  get loop(): Polling {
    if (!this.polling) throw new VnetError('STATE', `interface ${this.attachment.iface}`, 'is not looping yet', { hint: 'wait until attach says that it loops' });
    return this.polling;
  }

  /** Puts a hook in the place of the one before, or none; if it cannot be loaded, everything stays as it was. */
  async useHook(hook: HookWish | null): Promise<void> {
    await this.loop.use(hook);
    this.log.write(hook ? `hook ${hook.file} on ${this.attachment.iface}` : `no hook on ${this.attachment.iface}`);
  }

  /** Its metrics are served at this URL from now on. */
  servesMetrics(url: string): void {
    using _lock = lockEverything();
    this.attachment.metrics = url;
    saveAttachment(this.attachment);
    this.log.write(`metrics of ${this.attachment.iface} at ${url}`);
  }

  private queueChanged(): void {
    this.announcer.update();
    this.emit('queue');
  }

  /** Puts what impairmentWords() says on the way back, or nothing. */
  async impair(words: string[] | null): Promise<void> {
    const { attachment, wireNetns } = this.parts;
    const tellPoller = (impaired: boolean): Promise<void> => this.loop.setImpaired(impaired);
    await setImpairment({ attachment, wireNetns, controls: this.controls, tellPoller, isClosing: () => this.isClosing }, words);
    this.log.write(words ? `${attachment.iface} is impaired: ${words.join(' ')}` : `${attachment.iface} is not impaired any more`);
  }

  private async record(request: RecordingRequest): Promise<Recording> {
    const { datapath, attachment } = this.parts;
    const { id, iface } = attachment;
    if (this.closing) throw new VnetError('INTERFACE_GONE', `interface ${iface}`, 'is being detached', { hint: `vnet-bpf attach ${iface} makes it again` });
    const recording = await Recording.begin({ id, iface, datapath, control: this.controls.first, tellPoller: (fates) => this.loop.setFates(fates) }, request);
    this.log.write(`${iface} is recorded`);
    return recording;
  }

  private hookFailed(text: string): void {
    this.log.write(text);
    this.emit('hookError', text);
  }

  /** For `list`, `stats` and whoever adopts the interface. Where it cannot be written down the log says so. */
  private noteHook(fields: Partial<Pick<Attachment, 'hook' | 'onHookError' | 'hookDown'>>): void {
    Object.assign(this.attachment, fields);
    try {
      saveAttachment(this.attachment);
    } catch (error) {
      this.log.write(`the state of ${this.attachment.iface} cannot be written: ${(error as Error).message}`);
    }
  }

  private lookAtLink(): Link | null {
    using netns = openAttachmentNetns(this.attachment);
    return netns?.run(() => linkByIndex(this.attachment.ifindex)) ?? null;
  }

  /** Begins to watch the link and says that the interface is there. */
  watchLink(link: Link, how: 'loaded' | 'adopted'): void {
    this.link = link;
    const { iface, ifindex, peer, ringBytes, budget, netns } = this.attachment;
    // The peer's end is told even where the namespace of the other is gone.
    const indexes = peer ? [ifindex, peer.ifindex] : [ifindex];
    this.watch = watchLinks(this.parts.wireNetns, indexes, () => this.linkMayHaveChanged());
    this.log.write(`${how}: ${named(iface, netns.name)}, ring ${ringBytes} bytes, budget ${budget}`);
    // What happened before the watch began; whoever waits for the interface need not wait for that.
    setImmediate(() => this.linkMayHaveChanged());
  }

  /** Something happened to a link or an address: look at ours. */
  private linkMayHaveChanged(): void {
    if (this.closing) return;
    const netns = openAttachmentNetns(this.attachment);
    const link = netns?.run(() => linkByIndex(this.attachment.ifindex)) ?? null;
    const { peer } = this.attachment;
    if (!link || !netns || (peer && link.peerIfindex !== peer.ifindex)) {
      netns?.close();
      this.lost();
      return;
    }
    try {
      const before = this.link as Link;
      this.link = link;
      if (link.name !== before.name) this.renamed(before.name, link.name, netns);
      if (link.up !== before.up) {
        this.log.write(`${link.name} set ${link.up ? 'up' : 'down'}`);
        this.emit('link', link.up);
      }
      if (link.mtu !== before.mtu) {
        this.log.write(`${link.name} has mtu ${link.mtu}, was ${before.mtu}`);
        if (!this.attachment.taken) netns.run(() => followMtu(link.name, link.mtu));
      }
      this.polling?.setLinkDown(!link.up);
      if (this.parts.hairpinAll) this.followAddresses(netns);
      const { hairpin } = this.attachment;
      if (link.up && hairpin && hairpin.addresses.length > 0) netns.run(() => restoreRoutes(link, hairpin));
    } finally {
      netns.close();
    }
  }

  private lost(): void {
    const { iface } = this.attachment;
    const error = new VnetError('INTERFACE_GONE', `interface ${iface}`, 'somebody deleted it, or moved it to another namespace', {
      hint: `vnet-bpf attach ${iface} makes a new one`,
    });
    this.polling?.setLinkDown(true);
    this.log.write(`${iface} is gone: deleted or moved to another namespace`);
    this.emit('gone', error);
  }

  private renamed(from: string, to: string, netns: Netns): void {
    const { attachment } = this;
    using _lock = lockEverything();
    attachment.iface = to;
    attachment.netns.name = netnsName(attachment.netns.inode);
    const { hairpin } = attachment;
    if (hairpin && hairpin.addresses.length > 0) {
      // Rules know the interface by name, so they are made anew.
      netns.run(() => {
        removeHairpin(from, hairpin.table);
        syncHairpin(to, attachment.ifindex, hairpin.addresses, null);
      });
    }
    saveAttachment(attachment);
    this.log.write(`${from} is called ${to} now`);
  }

  private followAddresses(netns: Netns): void {
    const { attachment } = this;
    const wanted: HairpinAddress[] = netns
      .run(() => addresses(attachment.iface))
      .filter((entry) => entry.global)
      .map(({ family, address }) => ({ family, address }));
    const key = (list: readonly HairpinAddress[]): string => list.map((entry) => entry.address).sort().join();
    if (key(wanted) === key(attachment.hairpin?.addresses ?? [])) return;
    using _lock = lockEverything();
    attachment.hairpin = netns.run(() => syncHairpin(attachment.iface, attachment.ifindex, wanted, attachment.hairpin));
    saveAttachment(attachment);
    this.log.write(`${attachment.iface} loops ${wanted.map((entry) => entry.address).join(', ') || 'no address'}`);
  }

  /**
   * Held frames do not come out although they could: if the room is empty they are lost (it was
   * full, or a CPU's backlog was). They are written off, so that the queue can wake.
   */
  private lookIntoRoom(queue: number): void {
    const { attachment, wireNetns } = this.parts;
    if (this.closing) return;
    const control = this.controls.queues[queue] as SharedWords;
    const look = (): string => [control.get32(CONTROL.gate), control.get64(CONTROL.heldOut)].join();
    const before = look();
    // Frames may still be on their way to the room: only what does not move at all is lost.
    setTimeout(() => {
      if (this.closing) return;
      const waiting = wireNetns.run(() => roomBacklog(attachment.id, queue)) ?? 0;
      const lost = heldNow(control) - waiting;
      if (lost <= 0 || look() !== before || this.waitsOnInterface()) return;
      increment(control, CONTROL.heldDropped, lost);
      this.log.write(`${attachment.iface} lost ${lost} held frames: the waiting room or a CPU's backlog was full`);
    }, SETTLE_MS).unref();
  }

  /** Whether a qdisc of the user's on the interface holds frames back: then nothing is lost yet. */
  private waitsOnInterface(): boolean {
    using netns = openAttachmentNetns(this.attachment);
    return netns?.run(() => qdiscsOf(this.attachment.iface).some(({ qlen }) => qlen > 0)) ?? false;
  }

  /** Ends the loop and removes everything; resolves when nothing is left. Idempotent. */
  detach(): Promise<void> {
    this.closing ??= this.close();
    return this.closing;
  }

  private async close(): Promise<void> {
    await this.stopLoop();
    using _global = lockEverything();
    this.log.write(`unloaded: ${this.attachment.iface}`);
    this.release();
    teardown(this.attachment);
    this.emit('detached');
  }

  /** Ends the loop and lets go of everything, but leaves what is in the kernel: attaching failed. */
  async abandon(): Promise<void> {
    this.closing ??= this.stopLoop().then(() => this.release());
    await this.closing;
  }

  private async stopLoop(): Promise<void> {
    this.watch?.close();
    this.orders?.close();
    if (!this.polling) return;
    await this.polling.stop();
    // After the loop has delivered what is in the ring, which the recorder is still told.
    await this.recorder.end();
    this.announcer.flush();
  }

  private release(): void {
    const { datapath, lock, wireNetns } = this.parts;
    this.log.close();
    for (const socket of this.sockets) socket.close();
    fs.closeSync(this.linkSocket);
    this.roomSockets.forEach(closeRoomSockets);
    this.controls.close();
    datapath.close();
    wireNetns.close();
    lock.close();
  }
}
