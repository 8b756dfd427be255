// SPDX-License-Identifier: MIT
/**
 * Plays systemd for one instance of our unit, because a test has no systemd: it reads ExecStart= and the file of
 * options, starts the command with the environment, the capabilities and the umask of the unit, and waits for READY=1.
 * It does not apply the seccomp filter or the lists of devices and address families.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import * as path from 'node:path';

import type { Test } from 'tap';

import { MAIN, ROOT } from './cli';
import { eventually } from './controller';
import { NotifySocket } from './notify-socket';
import { boundingSet, commandLine, readAssignments, readEnvironment } from './unit-file';

export const UNIT = path.join(ROOT, 'docs', 'systemd', 'vnet-bpf@.service');
/** The environment that systemd gives to every service (systemd.exec(5)). */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';

export interface End {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export class ServiceManager {
  private readonly unit = readAssignments(UNIT);
  private child: ChildProcess | undefined;
  private ended: Promise<End> | undefined;
  /** The messages of the running process. */
  readonly heard: string[] = [];
  stderr = '';

  private constructor(
    private readonly instance: string,
    private readonly options: string,
    private readonly socket: NotifySocket,
    private readonly environment: NodeJS.ProcessEnv,
  ) {}

  /** Creates the manager of the instance with that file of options. A running process is killed when the test ends. */
  static create(
    t: Test,
    instance: string,
    options: string,
    notifySocket: string,
    environment: NodeJS.ProcessEnv = {},
  ): ServiceManager {
    const manager = new ServiceManager(instance, options, NotifySocket.bind(notifySocket), environment);
    t.teardown(() => {
      manager.kill('SIGKILL');
      manager.socket.close();
    });
    return manager;
  }

  private setting(name: string): string {
    const value = this.unit.get(name)?.join(' ');
    if (value === undefined) throw new Error(`${UNIT} has no ${name}=`);
    return value;
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** Starts the service; resolves with true once it is ready, or with false if it ends before that. */
  async start(): Promise<boolean> {
    const [program, ...args] = commandLine(this.setting('ExecStart'), this.instance, readEnvironment(this.options));
    if (program !== 'vnet-bpf') throw new Error(`ExecStart= starts ${program}`);
    // `npm i -g` puts the same into the PATH: a link to MAIN, whose first line names node.
    const limits = [
      '--bounding-set',
      boundingSet(this.setting('CapabilityBoundingSet')),
      '--inh-caps=-all',
      '--no-new-privs',
    ];
    const shell = `umask ${this.setting('UMask')}; exec setpriv "$@"`;
    this.heard.length = 0;
    const child = spawn('sh', ['-c', shell, 'sh', ...limits, process.execPath, MAIN, ...args], {
      cwd: '/',
      env: { PATH, LANG: 'C.UTF-8', NOTIFY_SOCKET: this.socket.name, ...this.environment },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.on('data', (data: Buffer) => (this.stderr += data.toString()));
    this.child = child;
    this.ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
    await eventually(() => this.says('READY=1') || child.exitCode !== null);
    return this.says('READY=1');
  }

  /** Whether a line of a message matches. */
  says(line: string): boolean {
    this.heard.push(...this.socket.received());
    return this.heard.some((message) => message.split('\n').includes(line));
  }

  kill(signal: NodeJS.Signals): void {
    if (this.child && this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
  }

  /** How it ended. */
  async end(): Promise<End> {
    if (!this.ended) throw new Error('it was never started');
    return this.ended;
  }

  /** Whether Restart= and RestartPreventExitStatus= start it again after that end. */
  restartsAfter({ code, signal }: End): boolean {
    if (this.setting('Restart') !== 'on-failure') throw new Error('Restart= is not on-failure');
    const clean = code === 0 || (signal !== null && ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGPIPE'].includes(signal));
    return !clean && !this.setting('RestartPreventExitStatus').split(' ').includes(String(code));
  }
}
