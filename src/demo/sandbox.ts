// SPDX-License-Identifier: MIT
/**
 * Where the demo plays: a network namespace and a directory of its own, both removed at the end; how its commands are run,
 * and what the audience sees of them.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { endSignals } from '../cli/signals';
import type { Stats } from '../datapath/stats';
import { VnetError } from '../errors';
import { addNamedNetns } from '../link/named-netns';
import { clock } from '../native/clock';
import { outputOf, run, start } from './shell';
import { showCommand, showOutput } from './stage';
import type { ChildProcess } from 'node:child_process';

/** What the demo reads of an entry of `vnet-bpf list --json`. */
interface Listed {
  netns: string | null;
  pid: number;
}

export const IFACE = 'vnet0';
export const ADDRESS = '10.77.0.1';

export class Sandbox {
  readonly netns: string;
  readonly directory: string;
  /** vnet0 as commands want it: name and namespace. */
  readonly where: string;
  private readonly children = new Set<ChildProcess>();
  private readonly interrupt = new AbortController();
  /** A controller that a step has stopped for a moment. */
  private paused: number | null = null;
  private made = false;

  constructor() {
    this.netns = fs.existsSync('/run/netns/vnet-demo') ? `vnet-demo-${process.pid}` : 'vnet-demo';
    this.where = `${IFACE} --netns ${this.netns}`;
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-demo-'));
    for (const signal of endSignals()) process.on(signal, () => this.stop());
  }

  private stop(): void {
    this.interrupt.abort();
    for (const child of this.children) child.kill('SIGTERM');
  }

  private check(): void {
    if (this.interrupt.signal.aborted) throw new VnetError('COMMAND_FAILED', 'demo', 'interrupted; everything it made is removed', { hint: 'vnet-bpf demo begins again' });
  }

  /** Makes the namespace. */
  open(): void {
    showCommand(`ip netns add ${this.netns}`);
    addNamedNetns(this.netns);
    this.made = true; // before an interruption is looked at, and only if it was us who made it
    this.check();
  }

  /** Runs a command without showing it. */
  async quietly(line: string): Promise<string> {
    this.check();
    const output = await run(line);
    this.check();
    return output;
  }

  /** Shows a command and runs it; what it prints is shown too, as `filter` leaves it. */
  async show(line: string, filter: (output: string) => string = (text) => text): Promise<string> {
    showCommand(line);
    const output = await this.quietly(line);
    showOutput(filter(output));
    return output;
  }

  /** Starts a command that runs while others do; it is ended with the demo at the latest. */
  launch(line: string): { child: ChildProcess; output: Promise<string> } {
    this.check();
    const child = start(line);
    this.children.add(child);
    child.once('close', () => this.children.delete(child));
    const output = outputOf(line, child).catch((error: unknown) => {
      this.check(); // ended because the demo was interrupted
      throw error;
    });
    output.catch(() => undefined); // whoever awaits it later hears of a failure
    return { child, output };
  }

  async sleep(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.interrupt.signal }).catch(() => undefined);
    this.check();
  }

  async stats(): Promise<Stats> {
    return JSON.parse(await this.quietly(`vnet-bpf stats ${this.where} --json`)) as Stats;
  }

  /** Reads the counters until `done` says so, for `seconds` at most; returns the last reading. */
  async statsWhen(done: (stats: Stats) => boolean, seconds: number): Promise<Stats> {
    const end = clock.now() + seconds * 1000;
    for (;;) {
      const stats = await this.stats();
      if (done(stats) || clock.now() > end) return stats;
      await this.sleep(50);
    }
  }

  /** Attachments of the demo's namespace. */
  async attachments(): Promise<Listed[]> {
    const all = JSON.parse(await this.quietly('vnet-bpf list --json')) as Listed[];
    return all.filter(({ netns }) => netns === this.netns);
  }

  /** Stops a process until resume() or the end of the demo. */
  pause(pid: number): void {
    showCommand(`kill -STOP ${pid}`);
    process.kill(pid, 'SIGSTOP');
    this.paused = pid;
  }

  resume(): void {
    if (this.paused === null) return;
    showCommand(`kill -CONT ${this.paused}`);
    process.kill(this.paused, 'SIGCONT');
    this.paused = null;
  }

  /** Removes everything, however far the demo came. */
  async close(): Promise<void> {
    for (const child of this.children) child.kill('SIGKILL');
    if (this.paused !== null) process.kill(this.paused, 'SIGCONT');
    if (this.made) {
      await run(`vnet-bpf detach ${this.where}`).catch(() => undefined); // not attached any more, or not yet
      await run(`ip netns del ${this.netns}`);
    }
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}
