// SPDX-License-Identifier: MIT
/**
 * Wakes the thread of a hook when its ring has records. That thread sleeps in Node's event loop, which cannot
 * watch a ring by itself, and a native watch there is not safe: koffi aborts the process if a thread ends, or is
 * terminated, while its ring is readable. So a second thread sleeps on the ring, and sends a message.
 */
import * as path from 'node:path';
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';

import { wakeWaiter } from 'libbpf-ts';

/** Words that both threads see. */
export const BELL = {
  /** 1: the sleeper wants to be told. Notified when it is set. */
  armed: 0,
  /** 1: nobody is going to sleep any more. */
  quit: 1,
  words: 2,
} as const;

/** The end of the thread that sleeps. */
export interface BellRope {
  words: SharedArrayBuffer;
  /** A message comes when records came while armed. Transferred to that thread. */
  port: MessagePort;
}

export interface RingBellData {
  ringFd: number;
  words: SharedArrayBuffer;
  /** The other end of the rope's port. */
  sleeper: MessagePort;
}

export class RingBell {
  readonly rope: BellRope;
  private readonly worker: Worker;
  private readonly ended: Promise<void>;
  private readonly wakeFd: Promise<number>;

  /**
   * `ringFd` stays the caller's and has to be open until close() has resolved. Should the bell break, the sleeper
   * goes on, at the pace of its watchdog.
   */
  constructor(ringFd: number, onBroken: (error: Error) => void) {
    const { port1: sleeper, port2: port } = new MessageChannel();
    this.rope = { words: new SharedArrayBuffer(BELL.words * 4), port };
    this.worker = new Worker(path.join(__dirname, '..', 'hooks', 'ring-bell-worker.js'), {
      workerData: { ringFd, words: this.rope.words, sleeper } satisfies RingBellData,
      transferList: [sleeper],
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 },
    });
    this.worker.on('error', onBroken);
    this.ended = new Promise((resolve) => this.worker.once('exit', () => resolve()));
    this.wakeFd = new Promise((resolve) => {
      this.worker.once('message', resolve);
      this.worker.once('exit', () => resolve(-1));
    });
  }

  /** The sleeper must have ended. Idempotent. */
  async close(): Promise<void> {
    const words = new Int32Array(this.rope.words);
    Atomics.store(words, BELL.quit, 1);
    Atomics.store(words, BELL.armed, 1);
    Atomics.notify(words, BELL.armed);
    const started = await this.wakeFd;
    // Unless it is gone, and its descriptor perhaps somebody else's.
    if (started >= 0 && this.worker.threadId >= 0) wakeWaiter(started);
    await this.ended;
  }
}
