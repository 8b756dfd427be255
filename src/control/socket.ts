// SPDX-License-Identifier: MIT
/**
 * The control socket, by which other processes give orders to a controller: a Unix socket beside the record of the
 * attachment, in a directory that only root can enter. An order is a line of JSON, and so is its answer:
 *
 *   {"order":"detach"}                       {"done":null}
 *   {"order":"dance"}                        {"error":{"code":"USAGE","message":"...","hint":"..."}}
 *
 * An order is an object of scalars and lists of scalars. A line that is longer than LINE_BYTES_MAX ends the connection.
 */
import * as fs from 'node:fs';
import * as net from 'node:net';

import { Connections } from '../connections';
import { type ErrorCode, usageError, VnetError } from '../errors';
import { removeFile } from '../native/removal';

export interface Order {
  order: string;
  [argument: string]: unknown;
}

/** One connection, for orders that belong together. */
export interface ControlSession {
  /** Registers a callback for when the other side is gone, or close() was called. */
  onClose(body: () => void): void;
  /** Ends the connection. */
  close(): void;
}

/** Carries out an order. What it returns, or resolves to, is the answer. Throws a VnetError if it cannot. */
export type OrderHandler = (order: Order, session: ControlSession) => unknown;

interface SentError {
  code: ErrorCode;
  message: string;
  hint?: string | undefined;
}

type Answer = { done: unknown } | { error: SentError };

/** The longest line in bytes. The largest order injects a frame of 256 KiB, in base64. */
export const LINE_BYTES_MAX = 1 << 20;
/** The most connections: more than the recorders, debuggers and commands that one interface has at a time. */
const CLIENTS_MAX = 64;
/** How long a client that holds nothing (no recording, no pause) may take for its next order, in milliseconds. */
const IDLE_MS = 30_000;

/** The longest name of an order. */
const ORDER_LENGTH_MAX = 64;

export class ControlServer implements Disposable {
  private constructor(private readonly server: net.Server) {}

  /**
   * Listens at a path, replacing a socket that a killed controller may have left there. Does not keep the process
   * alive. Throws STATE.
   */
  static async listen(
    file: string,
    handlers: Readonly<Record<string, OrderHandler>>,
    { clientsMax = CLIENTS_MAX, idleMs = IDLE_MS } = {},
  ): Promise<ControlServer> {
    removeFile(file);
    const connections = new Connections(clientsMax, idleMs);
    const server = net.createServer((socket) => void serve(socket, handlers, connections));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) =>
        reject(
          new VnetError('STATE', `control socket ${file}`, cause.message, {
            hint: 'look whether /run is full or read-only: df /run',
            cause,
          }),
        ),
      );
      server.listen(file, resolve);
    });
    // A connection that could not be accepted for lack of descriptors: the next one may be.
    server.on('error', () => undefined);
    fs.chmodSync(file, 0o600);
    server.unref();
    return new ControlServer(server);
  }

  /** Accepts no more connections; orders under way are answered. Idempotent. */
  close(): void {
    this.server.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * The lines of a connection. Each is read when the caller has finished with the one before; the rest stays with the
 * sender. Null, and then nothing more, for a line that is too long.
 */
async function* linesOf(socket: net.Socket): AsyncGenerator<string | null> {
  let pieces: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      if (bytes + end - from > LINE_BYTES_MAX) {
        yield null;
        return;
      }
      yield Buffer.concat([...pieces, chunk.subarray(from, end)]).toString();
      [pieces, bytes, from] = [[], 0, end + 1];
    }
    if (from < chunk.length) pieces.push(chunk.subarray(from));
    bytes += chunk.length - from;
    if (bytes > LINE_BYTES_MAX) {
      yield null;
      return;
    }
  }
}

/**
 * Serves a connection, one order at a time: answers come in the order of the questions, and while one is not read there
 * is no further one.
 */
async function serve(
  socket: net.Socket,
  handlers: Readonly<Record<string, OrderHandler>>,
  connections: Connections,
): Promise<void> {
  socket.on('error', () => socket.destroy()); // the other side went away without closing the connection
  socket.unref();
  connections.add(socket);
  const atClose: (() => void)[] = [];
  socket.once('close', () => atClose.forEach((body) => body()));
  const session: ControlSession = {
    onClose: (body) => void (socket.closed ? body() : atClose.push(body)),
    close: () => socket.destroy(),
  };
  try {
    for await (const line of linesOf(socket)) {
      connections.busy(socket);
      const answer = await handle(line, handlers, session);
      if (!socket.writable) break;
      if (atClose.length === 0) connections.waits(socket);
      if (!socket.write(answer + '\n')) await drained(socket);
    }
  } catch {
    socket.destroy();
  }
}

function drained(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}

/** Carries out the order in a line. Returns the answer as it is sent. */
async function handle(
  line: string | null,
  handlers: Readonly<Record<string, OrderHandler>>,
  session: ControlSession,
): Promise<string> {
  const send = (answer: Answer): string => JSON.stringify(answer);
  try {
    const order = orderOf(line);
    const handler = Object.hasOwn(handlers, order.order) ? handlers[order.order] : undefined;
    if (!handler)
      throw new VnetError('USAGE', `order "${order.order}"`, 'this controller does not know it', {
        hint: 'it may be of another version: attach with --replace',
      });
    return send({ done: (await handler(order, session)) ?? null });
  } catch (error) {
    if (error instanceof VnetError)
      return send({ error: { code: error.code, message: error.message, hint: error.hint } });
    return send({
      error: { code: 'INTERNAL', message: `internal error: ${error instanceof Error ? error.message : typeof error}` },
    });
  }
}

type Scalar = string | number | boolean | null;
const isScalar = (value: unknown): value is Scalar => value === null || typeof value !== 'object';
const isArgument = (value: unknown): boolean => isScalar(value) || (Array.isArray(value) && value.every(isScalar));

function orderOf(line: string | null): Order {
  const wrong = (why: string): VnetError => usageError('an order', why, 'a line of JSON such as {"order":"detach"}');
  if (line === null) throw wrong(`is longer than ${LINE_BYTES_MAX} bytes`);
  let asked: unknown;
  try {
    asked = JSON.parse(line);
  } catch {
    throw wrong('is not JSON');
  }
  if (isScalar(asked) || Array.isArray(asked)) throw wrong('is not an object');
  const { order } = asked as Record<string, unknown>;
  if (typeof order !== 'string' || order.length > ORDER_LENGTH_MAX) throw wrong('has no name');
  if (Object.hasOwn(asked as object, '__proto__') || !Object.values(asked as object).every(isArgument))
    throw wrong('has an argument that no order has');
  return asked as Order;
}

/** The controller did not answer, or there is none. */
export class NoAnswer extends VnetError {
  constructor(why: string, hint = 'vnet-bpf list tells whether it lives') {
    super('BUSY', 'the controller', why, { hint });
  }
}

/** What connect(2) fails with if no process listens: the socket of one that was killed stays, until it is adopted. */
const NOBODY_LISTENS: readonly (string | undefined)[] = ['ECONNREFUSED', 'ENOENT'];

function notConnected({ code, message }: NodeJS.ErrnoException): NoAnswer {
  if (!NOBODY_LISTENS.includes(code)) return new NoAnswer(`does not listen: ${message}`);
  return new NoAnswer(
    'has ended: no process loops the interface',
    'vnet-bpf attach loops it again, and vnet-bpf list shows its state',
  );
}

/** A connection to a controller, for one order or several. */
export class ControlClient implements Disposable {
  private readonly waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];
  private gone: NoAnswer | undefined;

  private constructor(private readonly socket: net.Socket) {
    socket.on('error', (error) => this.fail(error.message));
    void this.listen();
    socket.on('close', () => this.fail('has ended'));
  }

  /** Connects to a controller. Throws NoAnswer if none listens. */
  static async connect(file: string): Promise<ControlClient> {
    const socket = net.connect(file);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (error) => reject(notConnected(error)));
    });
    return new ControlClient(socket);
  }

  private async listen(): Promise<void> {
    try {
      for await (const line of linesOf(this.socket)) {
        if (line === null) throw new Error('said more than it may');
        this.waiting.shift()?.resolve(JSON.parse(line) as Answer);
      }
    } catch (error) {
      this.socket.destroy();
      this.fail((error as Error).message);
    }
  }

  /**
   * Gives an order and waits for the answer. Throws the error that the controller answers, or NoAnswer after
   * `timeoutMs`.
   */
  async ask(order: Order, timeoutMs = 10_000): Promise<unknown> {
    if (this.gone) throw this.gone;
    const line = JSON.stringify(order);
    if (Buffer.byteLength(line) > LINE_BYTES_MAX)
      throw usageError(
        `order "${order.order}"`,
        `is longer than ${LINE_BYTES_MAX} bytes`,
        'what it is given is too large',
      );
    const answer = await new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(
        () => this.socket.destroy(new Error(`did not answer within ${timeoutMs / 1000} s`)),
        timeoutMs,
      );
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          settle(value);
        };
      this.waiting.push({ resolve: settled(resolve), reject: settled(reject) });
      this.socket.write(line + '\n');
    });
    if ('done' in answer) return answer.done;
    const { code, message, hint } = answer.error;
    throw VnetError.received(code, message, hint);
  }

  /** Registers a callback for when the controller is gone or has ended the connection. */
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
