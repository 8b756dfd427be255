// SPDX-License-Identifier: MIT
/**
 * The stage of the demo: a network namespace and a directory of its own, both removed at the end. Runs the demo's
 * commands, and shows them and their output to the user.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import type { Stats } from '../datapath/stats';
import { exhaustion, HINTS, messageOf, VnetError } from '../errors';
import { addNamedNetns } from '../link/netns';
import { clock } from '../native/clock';
import { programEnvironment, SYSTEM_PATH, workingDirectory } from '../native/inherited';
import { removeTree } from '../native/removal';
import { printable } from '../printable';
import { reported } from '../terminal/failed-process';
import { coloured, tell, tellMade } from '../terminal/output';
import { endSignals } from '../terminal/signals';

// Running the demo's commands as a user would type them.

const MAIN = path.join(__dirname, '..', 'cli', 'main.js');
const env = { ...programEnvironment(), PATH: SYSTEM_PATH, LC_ALL: 'C' };

/** Splits a command line; `vnet-bpf` and `node` stand for this build and this Node. */
export function argvOf(line: string): [string, string[]] {
  const [program, ...args] = line.split(' ').flatMap((word, i, words) => {
    if (word === 'vnet-bpf' && i === 0) return [process.execPath, MAIN];
    // `ip netns exec NAME node ...`
    if (word === 'node' && (i === 0 || words[i - 2] === 'exec')) return [process.execPath];
    return [word];
  });
  return [program as string, args];
}

/**
 * Starts a command in a process group of its own: Ctrl-C reaches only the demo, which ends what it has started in the
 * right order.
 */
export function start(line: string): ChildProcess {
  const [program, args] = argvOf(line);
  return spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
}

/** Resolves with the standard output. Rejects with a VnetError that has the command's message if it fails. */
export function outputOf(line: string, child: ChildProcess): Promise<string> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new VnetError('COMMAND_FAILED', line, cause.message, { hint: HINTS.doctor, cause })),
    );
    child.once('close', (code, signal) => {
      if (code === 0) return resolve(stdout);
      const why = reported(stderr).line ?? stderr.trim().split('\n')[0];
      const lost = stdout.split('\n').find((each) => each.includes('% packet loss'));
      reject(
        new VnetError('COMMAND_FAILED', line, why || lost || `ended with ${signal ?? code}`, { hint: HINTS.doctor }),
      );
    });
  });
}

/** Runs a command to its end. */
export const run = (line: string): Promise<string> => outputOf(line, start(line));

// What the user sees: a sentence before each step, the commands, their output, and what it proves.

const WIDTH = 92;
const bold = (text: string): string => coloured('bold', printable(text), 1);

/** The name of one of our files, relative to the user's directory. */
export function shownPath(file: string): string {
  const directory = workingDirectory();
  const relative = directory === null ? '' : path.relative(directory, file);
  return relative === '' || relative.startsWith('..') ? file : relative;
}

let step = 0;

/** Begins a step. */
export function title(text: string): void {
  tellMade(`\n${bold(`${++step}. ${text}`)}`);
}

/** Says what happens and why it matters. */
export function say(text: string): void {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/).filter(Boolean)) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  tell(...[...lines, line].map((each) => `   ${each}`));
}

export function showCommand(line: string): void {
  tell(`   # ${line}`);
}

export function showOutput(text: string): void {
  const lines = text
    .trimEnd()
    .split('\n')
    .filter((line) => line.trim() !== '');
  for (const line of lines) tell(`   | ${line}`);
}

/** Continues if `holds`; otherwise the demo has failed. */
export function proves(holds: boolean, claim: string, otherwise: string): void {
  if (!holds)
    throw new VnetError('STATE', 'demo', `this does not hold: ${claim} (${otherwise})`, {
      hint: 'vnet-bpf doctor looks for the cause',
    });
  tellMade(`   ${bold('=>')} ${printable(claim)}`);
}

/** The part of an entry of `vnet-bpf list --json` that the demo reads. */
interface Listed {
  netns: string | null;
  pid: number;
}

export const IFACE = 'vnet0';
export const ADDRESS = '10.77.0.1';

function directoryOfItsOwn(): string {
  try {
    return fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-demo-'));
  } catch (cause) {
    throw (
      exhaustion(cause) ??
      new VnetError('STATE', `directory ${os.tmpdir()}`, `nothing can be made in it: ${messageOf(cause)}`, {
        hint: 'TMPDIR names another one: TMPDIR=/tmp vnet-bpf demo',
        cause,
      })
    );
  }
}

export class Sandbox {
  readonly netns: string;
  readonly directory: string;
  /** Operands of commands for vnet0: name and namespace. */
  readonly where: string;
  private readonly children = new Set<ChildProcess>();
  private readonly interrupt = new AbortController();
  /** Pid of a controller that a step has paused. */
  private paused: number | null = null;
  private made = false;

  constructor() {
    this.netns = fs.existsSync('/run/netns/vnet-demo') ? `vnet-demo-${process.pid}` : 'vnet-demo';
    this.where = `${IFACE} --netns ${this.netns}`;
    this.directory = directoryOfItsOwn();
    for (const signal of endSignals()) process.on(signal, () => this.stop());
  }

  private stop(): void {
    this.interrupt.abort();
    for (const child of this.children) child.kill('SIGTERM');
  }

  private check(): void {
    if (this.interrupt.signal.aborted)
      throw new VnetError('COMMAND_FAILED', 'demo', 'interrupted; everything it made is removed', {
        hint: 'vnet-bpf demo begins again',
      });
  }

  /** Makes the namespace. */
  open(): void {
    showCommand(`ip netns add ${this.netns}`);
    addNamedNetns(this.netns);
    this.made = true; // before check() may throw, and only if this process made it
    this.check();
  }

  /** Runs a command without showing it. */
  async quietly(line: string): Promise<string> {
    this.check();
    const output = await run(line);
    this.check();
    return output;
  }

  /** Shows a command, runs it, and shows its output, filtered. */
  async show(line: string, filter: (output: string) => string = (text) => text): Promise<string> {
    showCommand(line);
    const output = await this.quietly(line);
    showOutput(filter(output));
    return output;
  }

  /** Starts a command that runs beside others; it is ended with the demo at the latest. */
  launch(line: string): { child: ChildProcess; output: Promise<string> } {
    this.check();
    const child = start(line);
    this.children.add(child);
    child.once('close', () => this.children.delete(child));
    const output = outputOf(line, child).catch((error: unknown) => {
      this.check(); // ended because the demo was interrupted
      throw error;
    });
    output.catch(() => undefined); // a failure is reported where the output is awaited
    return { child, output };
  }

  async sleep(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.interrupt.signal }).catch(() => undefined);
    this.check();
  }

  async stats(): Promise<Stats> {
    return JSON.parse(await this.quietly(`vnet-bpf stats ${this.where} --json`)) as Stats;
  }

  /** Reads the counters until `done` returns true, for `seconds` at most; returns the last reading. */
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
    removeTree(this.directory);
  }
}

// Everything in a namespace that attaching could have changed, as text for comparison.

export async function snapshot(box: Sandbox): Promise<string> {
  const questions = ['-brief link', '-4 rule', '-6 rule', '-4 route show table all', '-6 route show table all'];
  const answers: string[] = [];
  for (const question of questions) answers.push(await box.quietly(`ip -n ${box.netns} ${question}`));
  return answers.join('\n');
}
