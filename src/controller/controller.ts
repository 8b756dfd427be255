// SPDX-License-Identifier: MIT
/**
 * The controller of a running interface: starts it, changes its hook, impairment and recording, and detaches it. It
 * ties together the other files of this folder.
 */
import { EventEmitter } from 'node:events';

import type { BpfProgram } from 'libbpf-ts';

import { Recording } from '../capture/session';
import {
  failLater,
  faultOrders,
  type JudgeKind,
  type JudgeWish,
  loopOrders,
  RecorderOrders,
  type RecordingRequest,
} from '../control/orders';
import { ControlServer } from '../control/socket';
import { openResegment, type Datapath } from '../datapath/programs';
import { QueueControls } from '../datapath/queue-gate';
import { finishBatches } from '../datapath/recovery';
import { increment, type SharedWords } from '../datapath/shared-memory';
import { PollerThread } from '../datapath/worker-handle';
import { commandAbout, messageOf, named, VnetError } from '../errors';
import type { OnHookError } from '../hooks/contract';
import { CONTROL } from '../layout';
import { linkByIndex, type Link } from '../link/links';
import type { Netns } from '../link/netns';
import { openAttachmentNetns } from '../link/netns-record';
import { settlesWithin } from '../native/clock';
import type { FileLock } from '../state/lock';
import {
  controlSocket,
  lockEverythingSoon,
  lockIfFree,
  logFile,
  saveIfPossible,
  type Attachment,
} from '../state/store';
import { Carrier } from './carrier';
import { nameOf, recordOf } from './choice';
import { EventLog, QueueAnnouncer, type QueueReading, queueReadingOf } from './event-log';
import { FaultLogFiles } from './fault-log-files';
import { checkOpen, Impairer, netemOf } from './impairing';
import { LinkWatch } from './link-follower';
import { lookIntoRoom } from './losses';
import { partsOf, type Supervised } from './parts';
import { Polling, spreadOf } from './polling';
import { QueueSockets } from './queue-sockets';
import { Attempts, Supervisor } from './supervisor';

/** Time that the loop has to end, in milliseconds. It delivers what is in the ring for at most 200 ms. */
const STOP_MS = 2000;

export interface ControllerParts {
  attachment: Attachment;
  datapath: Datapath;
  lock: FileLock;
  /**
   * The namespace in which frames are reinjected: the peer namespace for a veth, the interface's own for a dummy.
   * Owned.
   */
  peerNetns: Netns;
  /** Whether every address that appears on the interface is looped (`--hairpin`). */
  hairpinAll: boolean;
  /** Removes everything that attach made, once the loop has ended. */
  teardown: (attachment: Attachment) => Promise<void>;
}

interface ControllerEvents {
  /** The interface or the poller is gone; all that is left to do is detach. */
  gone: [VnetError];
  /** The queue has stopped or woken. */
  queue: [];
  /** The interface was set up (true) or down (false). */
  link: [boolean];
  /** An error in a hook, or a summary of several. */
  hookError: [string];
  /** The attachment has been removed completely. */
  detached: [];
}

export class Controller extends EventEmitter<ControllerEvents> {
  readonly log: EventLog;
  private readonly controls: QueueControls;
  private readonly sockets: QueueSockets;
  private readonly announcer: QueueAnnouncer;
  private readonly recorder: RecorderOrders;
  private readonly faultLog: FaultLogFiles;
  private polling: Polling | undefined;
  private orders: ControlServer | undefined;
  private supervisor: Supervisor | undefined;
  private readonly attempts: Attempts;
  private readonly watch: LinkWatch;
  /** Locks taken after another process removed the lock file. */
  private readonly moreLocks: FileLock[] = [];
  private readonly resegment: BpfProgram | null;
  private ending = false;
  private startWarning: string | null = null;
  private readonly impairer: Impairer;
  readonly carrier: Carrier;
  private closing: Promise<void> | undefined;
  /** What detach() returns; the first part of it is to wait for the lock. */
  private detaching: Promise<void> | undefined;

  constructor(private readonly parts: ControllerParts) {
    super();
    const { attachment, datapath, peerNetns } = parts;
    this.log = new EventLog(logFile(attachment.id));
    this.controls = new QueueControls(datapath.maps.control);
    this.sockets = new QueueSockets(attachment, this.controls, peerNetns);
    this.attempts = new Attempts((text) => this.log.write(text));
    this.resegment = openResegment(attachment);
    this.faultLog = new FaultLogFiles(attachment.id);
    this.watch = new LinkWatch({
      attachment,
      peerNetns,
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
    this.recorder = new RecorderOrders(
      () => this.attachment.iface,
      this.controls.first,
      (request) => this.record(request),
      (set) => this.faultLog.rulesOf(set),
    );
    const isClosing = (): boolean => this.isClosing;
    const log = (text: string): void => this.log.write(text);
    this.impairer = new Impairer(
      () => ({ attachment, peerNetns, controls: this.controls, polling: this.loop, isClosing }),
      log,
    );
    this.carrier = new Carrier({ attachment, peerNetns, isClosing, save: () => this.save(), log });
    this.announcer = new QueueAnnouncer(
      () => this.attachment.iface,
      () => this.queueReading(),
      (text) => this.log.write(text),
    );
  }

  queueReading(): QueueReading {
    return queueReadingOf(this.controls);
  }

  /** Whether the interface is being, or has been, detached. */
  get isClosing(): boolean {
    return this.closing !== undefined;
  }

  get attachment(): Attachment {
    return this.parts.attachment;
  }

  /** Starts the loop; resolves when the interface is polled. `onHookError` is its setting from now on. */
  async start(judge: JudgeWish | null, onHookError: OnHookError): Promise<void> {
    const { datapath, attachment } = this.parts;
    this.polling = new Polling({
      interface: attachment.iface,
      netns: attachment.netns.name,
      mac: () => this.lookAtLink()?.mac ?? '',
      requests: this.sockets.requests(datapath),
      impaired: netemOf(attachment),
      spread: spreadOf(attachment),
      hasPeer: attachment.peer !== null,
      events: {
        queue: () => this.queueChanged(),
        stalled: (queue) => {
          const control = this.controls.queues[queue] as SharedWords;
          const room = { ...this.parts, control, queue, isClosing: () => this.isClosing };
          lookIntoRoom(room, (text) => this.log.write(text));
        },
        died: (error) => {
          this.log.write(`${attachment.iface} ends: ${error.message}`);
          this.endWith(error);
        },
        log: (text) => this.log.write(text),
        carrier: (ms) => this.carrier.loseAtLeast(ms),
        error: (text) => {
          this.log.write(text);
          this.emit('hookError', text);
        },
      },
      onHookError,
      hookChanged: (choice, setting) => this.noteHook({ ...recordOf(choice), onHookError: setting }),
      faultLog: this.faultLog,
      hookDown: (why) => this.noteHook({ hookDown: why }),
      finishBatches: () => finishBatches(datapath),
      countError: () => increment(this.controls.first, CONTROL.hooksErrors),
    });
    this.startWarning = await this.polling.start(judge);
    if (judge) this.log.write(`${nameOf(judge)} on ${attachment.iface}`);
    await this.listen();
  }

  private async listen(): Promise<void> {
    const faults = {
      'polling-thread': () => PollerThread.terminate(),
      watch: () => this.watch.fail(),
      'main-thread': failLater,
    };
    this.orders?.close();
    this.orders = await ControlServer.listen(controlSocket(this.attachment.id), {
      detach: () => this.detach(),
      ...loopOrders(this),
      ...this.recorder.orders,
      ...faultOrders(faults),
    });
  }

  /** The polling of the interface, which takes the orders of hooks and of the debugger. Throws STATE before start(). */
  get loop(): Polling {
    if (!this.polling)
      throw new VnetError('STATE', `interface ${this.attachment.iface}`, 'is not looping yet', {
        hint: 'wait until attach says that it loops',
      });
    return this.polling;
  }

  /** As Polling.use(). */
  async use(kind: JudgeKind, wish: JudgeWish | null, onHookError: OnHookError | null = null): Promise<string | null> {
    const warning = await this.loop.use(kind, wish, onHookError);
    this.log.write(`${wish ? nameOf(wish) : `no ${kind}`} on ${this.attachment.iface}`);
    return warning;
  }

  /** Records the URL at which the interface's metrics are served from now on. */
  servesMetrics(url: string): void {
    this.attachment.metrics = url;
    this.save();
    this.log.write(`metrics of ${this.attachment.iface} at ${url}`);
  }

  /** Writes the record. A failure is logged; the next change writes the record again. */
  private save(attachment: Attachment = this.attachment): void {
    const why = saveIfPossible(attachment);
    if (why !== null) this.log.write(`the record of ${attachment.iface} is not up to date: ${why}`);
  }

  private queueChanged(): void {
    this.announcer.update();
    this.emit('queue');
  }

  /** Applies the impairment in `words`, as impairmentWords() returns them, to the reinject path, or removes it (null). */
  impair(words: string[] | null): Promise<void> {
    return this.impairer.set(words);
  }

  private async record(request: RecordingRequest): Promise<Recording> {
    const { datapath, attachment } = this.parts;
    const { id, iface } = attachment;
    checkOpen({ attachment, isClosing: () => this.isClosing });
    const recording = await Recording.begin(
      { id, iface, datapath, control: this.controls.first, tellPoller: (outcomes) => this.loop.setOutcomes(outcomes) },
      request,
    );
    this.log.write(`${iface} is recorded`);
    return recording;
  }

  /** Records the state of the hook for `list`, `stats` and adoption. A failure to write it is logged. */
  private noteHook(fields: Partial<Pick<Attachment, 'hook' | 'onHookError' | 'hookDown' | 'faults'>>): void {
    this.save(Object.assign(this.attachment, fields));
  }

  private lookAtLink(): Link | null {
    using netns = openAttachmentNetns(this.attachment);
    return netns?.run(() => linkByIndex(this.attachment.ifindex)) ?? null;
  }

  /** Warnings to show when the interface is ready. */
  warnings(): string[] {
    return [...(this.startWarning === null ? [] : [this.startWarning]), ...this.watch.warnings()];
  }

  /** Starts to watch the link and all other parts, and logs that the interface is ready. */
  watchLink(link: Link, how: 'loaded' | 'adopted'): void {
    const { attachment, attempts } = this;
    const { iface, ringBytes, budget, netns } = attachment;
    this.polling?.setLinkDown(!link.up);
    this.carrier.resume();
    this.watch.begin(link);
    this.log.write(`${how}: ${named(iface, netns.name)}, ring ${ringBytes} bytes, budget ${budget}`);
    this.supervisor = new Supervisor({
      parts: [...partsOf(this.supervised()), this.watch.part],
      attempts,
      log: (text) => this.log.write(text),
      broken: (what) => this.endWith(this.over('STATE', what)),
    });
  }

  private supervised(): Supervised {
    const { attachment, datapath, peerNetns } = this.parts;
    return {
      attachment,
      datapath,
      peerNetns,
      resegment: this.resegment,
      mtuOfPeer: () => this.watch.mtuOfPeer,
      log: (text) => this.log.write(text),
      listenAgain: () => this.listen(),
      impairAgain: () => this.impair(attachment.impairment?.words ?? null),
      own: (lock) => this.moreLocks.push(lock),
    };
  }

  private lost(): void {
    const { iface } = this.attachment;
    const onTheWay = this.controls.sum(CONTROL.captured) - this.controls.sum(CONTROL.drained) + this.controls.held.now;
    this.polling?.setLinkDown(true);
    this.log.write(
      `${iface} is gone: deleted or moved to another namespace${onTheWay > 0 ? `, and ${onTheWay} frames with it` : ''}`,
    );
    this.endWith(this.over('INTERFACE_GONE', 'somebody deleted it, or moved it to another namespace'));
  }

  private over(code: 'STATE' | 'INTERFACE_GONE', why: string): VnetError {
    const hint = `${commandAbout('attach', this.attachment)} makes a new one`;
    return new VnetError(code, `interface ${this.attachment.iface}`, why, { hint });
  }

  /** Reports that all that is left to do is detach. Only the first reason is reported. */
  private endWith(error: VnetError): void {
    if (this.ending || this.closing) return;
    this.ending = true;
    this.emit('gone', error);
  }

  /** Ends the loop and removes everything. Idempotent. Throws BUSY, and loops on, if the lock is not free for a minute. */
  detach(): Promise<void> {
    return (this.detaching ??= this.lockAndClose());
  }

  /** Takes the lock before anything ends: a command that was stopped may keep it. */
  private async lockAndClose(): Promise<void> {
    try {
      using _global = lockIfFree() ?? (await lockEverythingSoon());
      await (this.closing ??= this.close());
    } catch (error) {
      if (this.closing) throw error;
      this.detaching = undefined;
      this.log.write(`${this.attachment.iface} is not detached: ${messageOf(error)}`);
      throw error;
    } finally {
      if (this.closing) this.emit('detached');
    }
  }

  private async close(): Promise<void> {
    const stopped = await this.stopLoop();
    this.log.write(`unloaded: ${this.attachment.iface}`);
    this.save(Object.assign(this.attachment, { phase: 'detaching' } as const)); // before the lock goes, for `list`
    this.release(stopped);
    await this.parts.teardown(this.attachment);
  }

  /** Ends the loop and closes all descriptors, but leaves what is in the kernel; for an attach that failed. */
  async abandon(): Promise<void> {
    this.closing ??= this.stopLoop().then((stopped) => this.release(stopped));
    await this.closing;
  }

  /** Ends the loop. Returns false if it does not end within STOP_MS; it is left behind then. */
  private async stopLoop(): Promise<boolean> {
    for (const each of [this.supervisor, this.carrier, this.watch]) each?.close();
    this.orders?.close();
    if (!this.polling) return true;
    const stopped = await settlesWithin(STOP_MS, this.polling.stop());
    // After the loop, which has delivered what was in the ring, so that these frames are recorded, too.
    const ended = await settlesWithin(STOP_MS, this.recorder.end());
    if (!stopped) this.log.write(`the loop of ${this.attachment.iface} does not end; it is left behind`);
    this.announcer.flush();
    return stopped && ended;
  }

  /** Closes what the controller owns. A loop that has not `stopped` keeps its descriptors until the process ends. */
  private release(stopped: boolean): void {
    const { datapath, lock, peerNetns } = this.parts;
    this.log.close();
    for (const each of [lock, ...this.moreLocks]) each.close();
    this.resegment?.close();
    if (!stopped) return;
    this.sockets.close();
    this.controls.close();
    datapath.close();
    peerNetns.close();
  }
}
