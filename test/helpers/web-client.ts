// SPDX-License-Identifier: MIT
/** What the page of `vnet-bpf web` does, and what it never does: a client of its server. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

import type { Test } from 'tap';

import { WebSocket } from 'ws';

import type { Action, FromPage, FromServer } from '../../src/web/protocol';
import { cliStart } from './cli';

/** The address that the server has printed. */
export interface WebAddress {
  /** Without the token. */
  base: string;
  port: number;
  token: string;
}

export function webAddress(url: string): WebAddress {
  const { origin, port, hash } = new URL(url);
  return { base: origin, port: Number(port), token: hash.slice(1) };
}

export interface StartedWeb extends WebAddress {
  server: ChildProcess;
  /** The address with the token. */
  url: string;
}

/** Starts `vnet-bpf web` until the test ends, and waits until it has printed its address. */
export async function startWeb(t: Test, ...args: readonly string[]): Promise<StartedWeb> {
  const server = cliStart(t, ['web', ...args]);
  const [line] = (await once(server.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  const url = line.toString().trim();
  return { server, url, ...webAddress(url) };
}

export interface Offer {
  protocols?: string[];
  origin?: string;
  host?: string;
  path?: string;
}

type Heard = (data: Buffer) => void;

/** What a client gets that asks for a WebSocket: `open`, or the status of the answer. */
export async function asked(
  { base, token }: WebAddress,
  offer: Offer = {},
  heard: Heard = () => undefined,
): Promise<WebSocket | number> {
  const { protocols = ['vnet-bpf', token], origin = base, host, path = '/live' } = offer;
  const socket = new WebSocket(base.replace('http', 'ws') + path, protocols, {
    ...(origin !== '' && { origin }),
    ...(host !== undefined && { headers: { host } }),
  });
  socket.on('error', () => undefined).on('message', heard);
  return new Promise((resolve) => {
    socket.once('open', () => resolve(socket));
    socket.once('unexpected-response', (request, { statusCode = 0 }) => {
      request.destroy();
      resolve(statusCode);
    });
  });
}

type Type = FromServer['type'];
type Message<T extends Type> = Extract<FromServer, { type: T }>;

/** An open page. */
export class Opened {
  /** Messages that next() has looked at. */
  private read = 0;
  private ids = 0;

  constructor(
    readonly page: WebSocket,
    /** All that it has got. */
    readonly messages: readonly FromServer[],
  ) {}

  say(message: FromPage): void {
    this.page.send(JSON.stringify(message));
  }

  /** The next message of that type for which `holds`, after the one that was returned last. */
  async next<T extends Type>(type: T, holds: (message: Message<T>) => boolean = () => true): Promise<Message<T>> {
    for (;;) {
      while (this.read < this.messages.length) {
        const message = this.messages[this.read++] as FromServer;
        if (message.type === type && holds(message as Message<T>)) return message as Message<T>;
      }
      await once(this.page, 'message');
    }
  }

  /** Does something to an interface; returns why it was not done, or null. */
  async act(name: string, action: Action): Promise<Message<'done'>['error']> {
    const id = ++this.ids;
    this.say({ type: 'do', id, interface: name, action });
    return (await this.next('done', (done) => done.id === id)).error;
  }
}

/** Opens a page. */
export async function opened(from: WebAddress): Promise<Opened> {
  const messages: FromServer[] = [];
  const socket = await asked(from, {}, (data) => messages.push(JSON.parse(data.toString()) as FromServer));
  if (typeof socket === 'number') throw new Error(`status ${socket}`);
  return new Opened(socket, messages);
}

export const closed = async (page: WebSocket): Promise<number> => {
  const [code] = (await once(page, 'close')) as [number];
  return code;
};
