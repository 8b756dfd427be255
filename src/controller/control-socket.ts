// SPDX-License-Identifier: MIT
/**
 * How other processes ask a controller for something: a Unix socket beside the record of the
 * attachment, in a directory that only root can enter. A line of JSON is asked, a line answered:
 *
 *   {"order":"detach"}                       {"done":null}
 *   {"order":"dance"}                        {"error":{"code":"USAGE","message":"...","hint":"..."}}
 */
import * as fs from 'node:fs';
import * as net from 'node:net';

import { VnetError, type ErrorCode } from '../errors';

export interface Order {
  order: string;
  [argument: string]: unknown;
}

/** One connection, for orders that belong together. */
export interface ControlSession {
  /** Called when the other side is gone, or close() was called. */
  onClose(body: () => void): void;
  /** Ends the connection. */
  close(): void;
}

/** Does what is asked; what it returns, or resolves to, is the answer. Throws a VnetError to say why not. */
export type OrderHandler = (order: Order, session: ControlSession) => unknown;

interface SentError {
  code: ErrorCode;
  message: string;
  hint?: string | undefined;
}

type Answer = { done: unknown } | { error: SentError };

export class ControlServer implements Disposable {
  private constructor(private readonly server: net.Server) {}

  /** Listens at a path, where a killed controller may have left a socket. Does not keep the process alive. */
  static async listen(file: string, handlers: Readonly<Record<string, OrderHandler>>): Promise<ControlServer> {
    fs.rmSync(file, { force: true });
    const server = net.createServer((socket) => serve(socket, handlers));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => reject(new VnetError('STATE', `control socket ${file}`, cause.message, { hint: 'look whether /run is full or read-only: df /run', cause })));
      server.listen(file, resolve);
    });
    fs.chmodSync(file, 0o600);
    server.unref();
    return new ControlServer(server);
  }

  /** Takes no more orders; those under way are answered. Idempotent. */
  close(): void {
    this.server.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Not readline's: that throws the errors of its socket once more, where nobody can catch them. */
function onLine(socket: net.Socket, body: (line: string) => void): void {
  let rest = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() as string;
    lines.forEach(body);
  });
}

function serve(socket: net.Socket, handlers: Readonly<Record<string, OrderHandler>>): void {
  socket.unref();
  socket.on('error', () => socket.destroy()); // the other side went without a word
  const session: ControlSession = { onClose: (body) => void (socket.closed ? body() : socket.once('close', body)), close: () => socket.destroy() };
  // One after the other: the answers have the order of the questions.
  let before: Promise<void> = Promise.resolve();
  onLine(socket, (line) => {
    before = before.then(async () => {
      const answer = await handle(line, handlers, session);
      if (socket.writable) socket.write(JSON.stringify(answer) + '\n');
    });
  });
}

async function handle(line: string, handlers: Readonly<Record<string, OrderHandler>>, session: ControlSession): Promise<Answer> {
  try {
    const order = JSON.parse(line) as Order;
    const handler = Object.hasOwn(handlers, order.order) ? handlers[order.order] : undefined;
    if (!handler) throw new VnetError('USAGE', `order "${order.order}"`, 'this controller does not know it', { hint: 'it may be of another version: attach with --replace' });
    return { done: (await handler(order, session)) ?? null };
  } catch (error) {
    if (error instanceof VnetError) return { error: { code: error.code, message: error.message, hint: error.hint } };
    return { error: { code: 'INTERNAL', message: `internal error: ${error instanceof Error ? error.message : String(error)}` } };
  }
}

/** The controller did not answer, or there is none. */
export class NoAnswer extends VnetError {
  constructor(why: string) {
    super('BUSY', 'the controller', why, { hint: 'vnet-bpf list tells whether it lives' });
  }
}

/** A connection to a controller, for one order or several. */
export class ControlClient implements Disposable {
  private readonly waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];
  private gone: NoAnswer | undefined;

  private constructor(private readonly socket: net.Socket) {
    onLine(socket, (line) => this.waiting.shift()?.resolve(JSON.parse(line) as Answer));
    socket.on('error', (error) => this.fail(error.message));
    socket.on('close', () => this.fail('has ended'));
  }

  /** Throws NoAnswer where nobody listens. */
  static async connect(file: string): Promise<ControlClient> {
    const socket = net.connect(file);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (error) => reject(new NoAnswer(`does not listen: ${error.message}`)));
    });
    return new ControlClient(socket);
  }

  /** Asks and waits; throws what the controller answers, or NoAnswer after `timeoutMs`. */
  async ask(order: Order, timeoutMs = 10_000): Promise<unknown> {
    if (this.gone) throw this.gone;
    const answer = await new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(() => this.socket.destroy(new Error(`did not answer within ${timeoutMs / 1000} s`)), timeoutMs);
      const settled = <T>(settle: (value: T) => void) => (value: T) => {
        clearTimeout(timer);
        settle(value);
      };
      this.waiting.push({ resolve: settled(resolve), reject: settled(reject) });
      this.socket.write(JSON.stringify(order) + '\n');
    });
    if ('done' in answer) return answer.done;
    const { code, message, hint } = answer.error;
    throw VnetError.received(code, message, hint);
  }

  /** Calls back when the controller is gone, or has ended the connection. */
  onGone(body: () => void): void {
    this.socket.once('close', body);
  }

  private fail(why: string): void {
    this.gone ??= new NoAnswer(why);
    for (const { reject } of this.waiting.splice(0)) reject(this.gone);
  }

  close(): void {
    this.socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
