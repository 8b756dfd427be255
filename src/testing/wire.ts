// SPDX-License-Identifier: MIT
/**
 * A browser of Playwright on a wire of its own, which can be slow, lossy, cut, or have faults. The server that the page
 * talks to listens on the same wire.
 */
import '../not-bundled';

import * as fs from 'node:fs';
import type { AddressInfo, Server, Socket } from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';

import type { Browser, BrowserType, LaunchOptions } from 'playwright-core';

import { shellWord, usageError } from '../errors';
import { readFaults, type RulesInput } from '../faults/document';
import { wireRules } from '../faults/impairment';
import type { Fault } from '../faults/log';
import type { Rule } from '../faults/rules';
import { Netns } from '../link/netns';
import { removeTree } from '../native/removal';
import { Lab, type LabOptions } from './lab';
import type { SeedChoice } from './seed';

/** The wire's address unless the options name others. */
const ADDRESS = '10.77.0.1/24';
/** The rules of Wire.set() have numbers from here on, which no rule of a test has. */
const FIRST_OF_WIRE = 1_000_000;

export interface WireOptions extends Omit<LabOptions, 'hook' | 'onHookError' | 'faults'> {
  /** The kind of wire at the start: see `Wire.set()`. */
  wire?: string;
}

export class Wire implements AsyncDisposable {
  private readonly browsers: Browser[] = [];
  private readonly servers: Server[] = [];
  /** Connections of the servers. The network may go before their other ends have said that they end. */
  private readonly connections = new Set<Socket>();
  /** Where the program is that starts a browser on the wire. */
  private readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-bpf-wire-'));
  private kind: readonly Rule[] = [];
  private rules: readonly Rule[] = [];
  private seed: SeedChoice | undefined;
  /** Whether cut() has been called since the last reset(). */
  private wasCut = false;
  /** What create() has made. */
  private atStart: { kind: readonly Rule[]; seed: SeedChoice | undefined } = { kind: [], seed: undefined };

  private constructor(
    /** The network, with everything else that a test may do to it. */
    readonly lab: Lab,
    /** Its address, for URLs. */
    readonly address: string,
  ) {}

  /** Makes a network with a wire. Needs root. */
  static async create({ wire: kind, addresses = [ADDRESS], seed, ...options }: WireOptions = {}): Promise<Wire> {
    const [first] = addresses;
    if (first === undefined) throw usageError('addresses', 'is empty', `such as ['${ADDRESS}']`);
    const wire = new Wire(await Lab.create({ ...options, addresses }), (first as string).replace(/\/.*/, ''));
    try {
      wire.seed = seed;
      if (kind !== undefined) await wire.set(kind);
      wire.atStart = { kind: wire.kind, seed };
      return wire;
    } catch (error) {
      await wire.close();
      throw error;
    }
  }

  /**
   * Starts a browser in the network of the wire. `options.executablePath` is needed with playwright-core, which brings no
   * browser; Debian's Chromium is /usr/bin/chromium.
   */
  async launch(type: BrowserType, options: LaunchOptions = {}): Promise<Browser> {
    const program = options.executablePath ?? type.executablePath();
    const file = path.join(this.directory, `browser-${this.browsers.length}`);
    fs.writeFileSync(
      file,
      `#!/bin/sh\nexec nsenter --net=/run/netns/${this.lab.netns} -- ${shellWord(program)} "$@"\n`,
      { mode: 0o700 },
    );
    const browser = await type.launch({ ...options, executablePath: file });
    this.browsers.push(browser);
    return browser;
  }

  /** Makes a server listen on the wire, on any free port, or the one given; resolves to `10.77.0.1:PORT`. */
  async listen(server: Server, port = 0): Promise<string> {
    const listening = new Promise<void>((resolve, reject) => {
      server.once('listening', resolve);
      server.once('error', reject);
    });
    server.on('connection', (socket: Socket) => {
      this.connections.add(socket);
      socket.once('close', () => this.connections.delete(socket));
    });
    using netns = Netns.named(this.lab.netns);
    // Without a host there is nothing to look up, so the socket is made in this namespace.
    netns.run(() => server.listen(port));
    this.servers.push(server);
    await listening;
    return `${this.address.includes(':') ? `[${this.address}]` : this.address}:${(server.address() as AddressInfo).port}`;
  }

  /**
   * Makes it a kind of wire, by name or in the words of `vnet-bpf impair`: `'3g'`, `'dsl loss 2%'`,
   * `'delay 20ms rate 5mbit queue 50ms'`; null for a perfect one. The rules of faults() begin to count anew.
   */
  async set(words: string | null): Promise<void> {
    const rules = words === null ? [] : wireRules(words);
    const kind = rules.map((rule, i) => ({ ...rule, id: FIRST_OF_WIRE + i }));
    await this.apply(kind, this.rules, this.seed);
  }

  /**
   * Puts faults on the wire, beside what set() has made of it; null removes them. As `Lab.faults()`, but not with the
   * name of a file.
   */
  async faults(rules: RulesInput | null, { seed }: { seed?: SeedChoice } = {}): Promise<void> {
    const own = rules !== null && typeof rules === 'object' && 'seed' in rules ? rules.seed : undefined;
    await this.apply(this.kind, rules === null ? [] : readFaults(rules).rules, seed ?? own ?? this.seed);
  }

  private async apply(kind: readonly Rule[], rules: readonly Rule[], seed: SeedChoice | undefined): Promise<void> {
    const all = [...rules, ...kind];
    await this.lab.faults(all.length === 0 ? null : all, seed === undefined ? {} : { seed });
    this.kind = kind;
    this.rules = rules;
    this.seed = seed;
  }

  /** The faults that have happened, those of set() left out. */
  async faultLog(): Promise<Fault[]> {
    return (await this.lab.faultLog()).filter(({ rule }) => rule < FIRST_OF_WIRE);
  }

  /** Nothing passes for `ms` milliseconds; resolves at once. */
  async cut(ms: number): Promise<void> {
    await this.lab.cut(ms);
    this.wasCut = true;
  }

  /** Undoes set(), faults() and cut(): it is the wire that create() has made. Browsers and servers stay. */
  async reset(): Promise<void> {
    await this.apply(this.atStart.kind, [], this.atStart.seed);
    // A new cut takes the place of the one before.
    if (this.wasCut) await this.lab.cut(1);
    this.wasCut = false;
  }

  /** Closes the browsers and servers, and removes the network. Idempotent. */
  async close(): Promise<void> {
    await Promise.allSettled(this.browsers.splice(0).map((browser) => browser.close()));
    for (const server of this.servers.splice(0)) server.close();
    for (const socket of this.connections) socket.destroy();
    removeTree(this.directory);
    await this.lab.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
