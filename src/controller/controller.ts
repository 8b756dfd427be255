// SPDX-License-Identifier: MIT
/** A running interface: its start, hook, impairment, recording and detach. It puts the parts beside it together. */
import { EventEmitter } from 'node:events';

import type { BpfProgram } from 'libbpf-ts';

import { Recording } from '../capture/session';
import { failLater, faultOrders } from '../control/fault';
import { type HookWish, loopOrders, RecorderOrders, type RecordingRequest } from '../control/orders';
import { ControlServer } from '../control/socket';
import { openCut, type Datapath } from '../datapath/programs';
import { QueueControls } from '../datapath/queue-gate';
import { finishBatches } from '../datapath/recovery';
import { increment, type SharedWords } from '../datapath/shared-memory';
import { PollerThread } from '../datapath/worker-handle';
import { commandAbout, named, VnetError } from '../errors';
import { CONTROL } from '../layout';
import { linkByIndex, type Link } from '../link/links';
import type { Netns } from '../link/netns';
import { openAttachmentNetns } from '../link/netns-record';
import { roomBacklog } from '../link/room';
import type { FileLock } from '../state/lock';
import { controlSocket, lockEverything, logFile, saveIfPossible, type Attachment } from '../state/store';
import { EventLog, QueueAnnouncer, type QueueReading } from './event-log';
import { impairedBy, setImpairment } from './impairing';
import { LinkWatch } from './link-follower';
import { lookForLostFrames, waitsOnInterface } from './losses';
import { partsOf, type Supervised } from './parts';
import { Polling, spreadOf } from './polling';
import { QueueSockets } from './queue-sockets';
import { Attempts, Supervisor } from './supervisor';

/** How long the loop may take to end, which needs 200 ms for what is in the ring. */
const STOP_MS = 2000;

export interface ControllerParts {
  attachment: Attachment;
  datapath: Datapath;
  lock: FileLock;
  /** Where frames are reinjected: the peer namespace of a veth's peer, or a dummy's own. Owned. */
  wireNetns: Netns;
  /** Loop whatever address appears on the interface. */
  hairpinAll: boolean;
  /** Removes everything that attach made, once the loop has ended. */
  teardown: (attachment: Attachment) => void;
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
  private readonly sockets: QueueSockets;
  private readonly announcer: QueueAnnouncer;
  private readonly recorder: RecorderOrders;
  private polling: Polling | undefined;
  private orders: ControlServer | undefined;
  private supervisor: Supervisor | undefined;
  private readonly attempts: Attempts;
  private readonly watch: LinkWatch;
  /** In the place of one that somebody removed. */
  private readonly moreLocks: FileLock[] = [];
  private readonly cut: BpfProgram | null;
  private ending = false;
  private impairing: Promise<unknown> = Promise.resolve();
  private closing: Promise<void> | undefined;

  constructor(private readonly parts: ControllerParts) {
    super();
    const { attachment, datapath, wireNetns } = parts;
    this.log = new EventLog(logFile(attachment.id));
    this.controls = new QueueControls(datapath.maps.control);
    this.sockets = new QueueSockets(attachment, this.controls, wireNetns);
    this.attempts = new Attempts((text) => this.log.write(text));
    this.cut = openCut(attachment);
    this.watch = new LinkWatch({
      attachment,
      wireNetns,
      hairpinAll: parts.hairpinAll,
      controls: this.controls,
      attempts: this.attempts,
      log: (text) => this.log.write(text),
      save: () => this.save(),
      turned: (up) => {
        this.polling?.setLinkDown(!up);
        this.emit('link', up);
      },
      lost: () => this.lost(),
    });
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
    this.polling = new Polling({
      interface: attachment.iface,
      netns: attachment.netns.name,
      mac: () => this.lookAtLink()?.mac ?? '',
      requests: this.sockets.requests(datapath),
      // For tests only: a slow poller fills the queue at will. Microseconds after each batch.
      pollDelayUs: Number(process.env['VNET_BPF_TEST_POLL_DELAY_US'] ?? 0),
      impaired: impairedBy(attachment.impairment?.words ?? null, attachment.queues),
      spread: spreadOf(attachment),
      events: {
        queue: () => this.queueChanged(),
        stalled: (queue) => this.lookIntoRoom(queue),
        died: (error) => {
          this.log.write(`${attachment.iface} ends: ${error.message}`);
          this.endWith(error);
        },
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
    this.orders = await this.listen();
  }

  private listen(): Promise<ControlServer> {
    const faults = { 'polling-thread': () => PollerThread.terminate(), watch: () => this.watch.fail(), 'main-thread': failLater };
    return ControlServer.listen(controlSocket(this.attachment.id), { detach: () => this.detach(), ...loopOrders(this), ...this.recorder.orders, ...faultOrders(faults) });
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
    this.save();
    this.log.write(`metrics of ${this.attachment.iface} at ${url}`);
  }

  /** Writes the record. What cannot be written is said, and written with the next change. */
  private save(attachment: Attachment = this.attachment): void {
    const why = saveIfPossible(attachment);
    if (why !== null) this.log.write(`the record of ${attachment.iface} is not up to date: ${why}`);
  }

  private queueChanged(): void {
    this.announcer.update();
    this.emit('queue');
  }

  /** Puts what impairmentWords() says on the reinject path, or nothing; one order after the other. */
  impair(words: string[] | null): Promise<void> {
    const done = this.impairing.then(() => this.impairNow(words));
    this.impairing = done.catch(() => undefined);
    return done;
  }

  private async impairNow(words: string[] | null): Promise<void> {
    const { attachment, wireNetns } = this.parts;
    await setImpairment({ attachment, wireNetns, controls: this.controls, polling: this.loop, isClosing: () => this.isClosing }, words);
    this.log.write(words ? `${attachment.iface} is impaired: ${words.join(' ')}` : `${attachment.iface} is not impaired any more`);
  }

  private async record(request: RecordingRequest): Promise<Recording> {
    const { datapath, attachment } = this.parts;
    const { id, iface } = attachment;
    if (this.closing) throw new VnetError('INTERFACE_GONE', `interface ${iface}`, 'is being detached', { hint: `${commandAbout('attach', attachment)} makes it again` });
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
    this.save(Object.assign(this.attachment, fields));
  }

  private lookAtLink(): Link | null {
    using netns = openAttachmentNetns(this.attachment);
    return netns?.run(() => linkByIndex(this.attachment.ifindex)) ?? null;
  }

  /** What the user should know when it is ready, in words. */
  warnings(): string[] {
    return this.watch.warnings();
  }

  /** Begins to watch the link and all other parts, and says that the interface is there. */
  watchLink(link: Link, how: 'loaded' | 'adopted'): void {
    const { attachment, attempts } = this;
    const { iface, ringBytes, budget, netns } = attachment;
    this.polling?.setLinkDown(!link.up);
    this.watch.begin(link);
    this.log.write(`${how}: ${named(iface, netns.name)}, ring ${ringBytes} bytes, budget ${budget}`);
    this.supervisor = new Supervisor({
      parts: [...partsOf(this.supervised()), this.watch.part],
      attempts,
      log: (text) => this.log.write(text),
      broken: (what) => this.endWith(new VnetError('STATE', `interface ${attachment.iface}`, what, { hint: `${commandAbout('attach', attachment)} makes a new one` })),
    });
  }

  private supervised(): Supervised {
    const { attachment, datapath, wireNetns } = this.parts;
    const listenAgain = async (): Promise<void> => {
      this.orders?.close();
      this.orders = await this.listen();
    };
    return {
      attachment,
      datapath,
      wireNetns,
      cut: this.cut,
      mtu: () => this.watch.mtuToTake,
      log: (text) => this.log.write(text),
      listenAgain,
      impairAgain: () => this.impair(attachment.impairment?.words ?? null),
      own: (lock) => this.moreLocks.push(lock),
    };
  }

  private lost(): void {
    const { iface } = this.attachment;
    const error = new VnetError('INTERFACE_GONE', `interface ${iface}`, 'somebody deleted it, or moved it to another namespace', {
      hint: `${commandAbout('attach', this.attachment)} makes a new one`,
    });
    const onTheWay = this.controls.sum(CONTROL.captured) - this.controls.sum(CONTROL.drained) + this.controls.held.now;
    this.polling?.setLinkDown(true);
    this.log.write(`${iface} is gone: deleted or moved to another namespace${onTheWay > 0 ? `, and ${onTheWay} frames with it` : ''}`);
    this.endWith(error);
  }

  /** There is nothing left to do but to detach. The first reason is the one that is told. */
  private endWith(error: VnetError): void {
    if (this.ending || this.closing) return;
    this.ending = true;
    this.emit('gone', error);
  }

  /**
   * Held frames do not come out although they could: if the room is empty they are lost (it was
   * full, or a CPU's backlog was). They are written off, so that the queue can wake.
   */
  private lookIntoRoom(queue: number): void {
    const { attachment, wireNetns } = this.parts;
    lookForLostFrames(
      {
        control: this.controls.queues[queue] as SharedWords,
        waiting: () => wireNetns.run(() => roomBacklog(attachment.id, queue)),
        waitsOnInterface: () => waitsOnInterface(attachment),
        isClosing: () => this.isClosing,
      },
      (lost) => this.log.write(`${attachment.iface} lost ${lost} held frames: the waiting room, a qdisc, a filter or a program on the interface, a CPU's backlog or the kernel's checks dropped them`),
    );
  }

  /** Ends the loop and removes everything; resolves when nothing is left. Idempotent. */
  detach(): Promise<void> {
    this.closing ??= this.close();
    return this.closing;
  }

  private async close(): Promise<void> {
    const stopped = await this.stopLoop();
    try {
      using _global = lockEverything();
      this.log.write(`unloaded: ${this.attachment.iface}`);
      this.release(stopped);
      this.parts.teardown(this.attachment);
    } finally {
      this.emit('detached');
    }
  }

  /** Ends the loop and lets go of everything, but leaves what is in the kernel: attaching failed. */
  async abandon(): Promise<void> {
    this.closing ??= this.stopLoop().then((stopped) => this.release(stopped));
    await this.closing;
  }

  /** False if the loop does not end: whatever it waits for, we do not. */
  private async stopLoop(): Promise<boolean> {
    this.supervisor?.close();
    this.watch.close();
    this.orders?.close();
    if (!this.polling) return true;
    const stopped = await within(STOP_MS, this.polling.stop());
    // After the loop has delivered what is in the ring, which the recorder is still told.
    const ended = await within(STOP_MS, this.recorder.end());
    if (!stopped) this.log.write(`the loop of ${this.attachment.iface} does not end; it is left behind`);
    this.announcer.flush();
    return stopped && ended;
  }

  /** A loop that has not `stopped` keeps its descriptors, until the process ends with it. */
  private release(stopped: boolean): void {
    const { datapath, lock, wireNetns } = this.parts;
    this.log.close();
    for (const each of [lock, ...this.moreLocks]) each.close();
    this.cut?.close();
    if (!stopped) return;
    this.sockets.close();
    this.controls.close();
    datapath.close();
    wireNetns.close();
  }
}

/** Whether something has ended in time; an error is an end, too. */
function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms);
    const end = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    work.then(end, end);
  });
}
