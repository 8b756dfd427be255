// SPDX-License-Identifier: MIT
/**
 * The control socket under what no command of ours sends: long lines, mutated orders, clients that say nothing or do
 * not listen.
 */
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { type JudgeWish, loopOrders, RecorderOrders } from '../../src/control/orders';
import { ControlClient, ControlServer, LINE_BYTES_MAX, type OrderHandler } from '../../src/control/socket';
import type { Controller } from '../../src/controller/controller';
import type { SharedWords } from '../../src/datapath/shared-memory';
import type { FaultsWish } from '../../src/faults/source';
import { Random } from '../helpers/random';

async function listening(
  t: Test,
  handlers: Record<string, OrderHandler>,
  limits?: { clientsMax?: number; idleMs?: number },
): Promise<string> {
  // Not t.testdir(): a socket's path has 107 characters at the most.
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-bpf-'));
  t.teardown(() => fs.rmSync(directory, { recursive: true }));
  const file = path.join(directory, 'control');
  const server = await ControlServer.listen(file, handlers, limits);
  const alive = setInterval(() => undefined, 100); // the server's sockets do not keep the process
  t.teardown(() => {
    clearInterval(alive);
    server.close();
  });
  return file;
}

interface Answer {
  done?: unknown;
  error?: { code: string; message: string };
}

/** A client without manners, and what it has been answered. */
class RawClient {
  readonly answers: Answer[] = [];
  readonly closed: Promise<void>;
  readonly socket: net.Socket;
  private rest = '';

  constructor(t: Test, file: string) {
    this.socket = net.connect(file);
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
    this.socket.on('error', () => undefined);
    this.socket.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.rest + text).split('\n');
      this.rest = lines.pop() ?? '';
      this.answers.push(...lines.map((line) => JSON.parse(line) as Answer));
    });
    t.teardown(() => this.socket.destroy());
  }

  async answered(count: number): Promise<void> {
    while (this.answers.length < count && !this.socket.closed) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

t.test('a line has a bound, and what is below it costs what it weighs', async (t) => {
  const file = await listening(t, { weigh: ({ text }) => String(text).length });
  const large = 'x'.repeat(LINE_BYTES_MAX - 100);
  using client = await ControlClient.connect(file);
  t.equal(await client.ask({ order: 'weigh', text: large }), large.length);
  await t.rejects(
    client.ask({ order: 'weigh', text: large + large }),
    { code: 'USAGE', message: /longer than 1048576 bytes/ },
    'a client of ours does not send it',
  );
  t.equal(await client.ask({ order: 'weigh', text: '' }), 0, 'and goes on');

  for (const [what, bytes] of [
    ['in one piece', '['.repeat(16 << 20)],
    ['that ends', `${'x'.repeat(16 << 20)}\n`],
  ] as const) {
    const raw = new RawClient(t, file);
    const start = performance.now();
    raw.socket.write(bytes);
    await raw.closed;
    t.match(raw.answers, [{ error: { code: 'USAGE', message: /longer than/ } }], `16 MB ${what}`);
    t.ok(performance.now() - start < 1000, 'at once');
  }
  const drip = new RawClient(t, file);
  const start = process.cpuUsage();
  // As many pieces as a line can have: quadratic reading would copy 8 GB.
  for (let i = 0; i < 16385 && !drip.socket.closed; i++)
    if (!drip.socket.write('y'.repeat(64))) await new Promise((resolve) => setImmediate(resolve));
  drip.socket.write('{"order"\n');
  await drip.closed;
  t.match(drip.answers, [{ error: { code: 'USAGE' } }]);
  const { user, system } = process.cpuUsage(start);
  t.ok(user + system < 3e6, `${(user + system) / 1000} ms of CPU`);
});

t.test('what is no order is refused, each with a reason', async (t) => {
  const file = await listening(t, { take: (order) => Object.keys(order).length });
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const wrong = [
    '',
    'null',
    '7',
    '"take"',
    '[]',
    '{}',
    '{"order":7}',
    '{"order":null}',
    '{"order":["take"]}',
    `{"order":"${'x'.repeat(65)}"}`,
    '{"order":"take"',
    `${deep}`,
    `{"order":"take","a":${deep}}`,
    `{"order":"take","a":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}}`,
    '{"order":"take","a":{}}',
    '{"order":"take","a":[[]]}',
    '{"order":"take","__proto__":{"file":1}}',
    '{"order":"take","__proto__":1}',
    '\0',
    '\ufeff{"order":"take"}',
    '{"order":"__proto__"}',
    '{"order":"constructor"}',
  ];
  const raw = new RawClient(t, file);
  raw.socket.write(wrong.map((line) => `${line}\n`).join('') + '{"order":"take","n":1e999,"list":["a",1,null]}\n');
  await raw.answered(wrong.length + 1);
  t.same(
    raw.answers.map(({ error }) => error?.code),
    [...wrong.map(() => 'USAGE'), undefined],
  );
  t.same(raw.answers.at(-1), { done: 3 }, 'and the connection goes on');
  t.equal(({} as { file?: unknown }).file, undefined, 'no prototype was touched');
});

t.test('whatever a handler throws or returns is an answer', async (t) => {
  const results: unknown[] = [Object.create(null), undefined, 7n, Symbol('x')];
  const file = await listening(t, {
    throws: ({ n }) => {
      throw results[Number(n)];
    },
    returns: ({ n }) => results[Number(n)],
  });
  using client = await ControlClient.connect(file);
  for (const n of results.keys()) await t.rejects(client.ask({ order: 'throws', n }), { code: 'INTERNAL' });
  await t.rejects(client.ask({ order: 'returns', n: 2 }), { code: 'INTERNAL' }, 'what JSON cannot say');
  t.equal(await client.ask({ order: 'returns', n: 1 }), null);
});

t.test('clients that say nothing go when others come, and in time; those that hold something stay', async (t) => {
  const file = await listening(
    t,
    { ping: () => 'pong', hold: (_, session) => session.onClose(() => undefined) },
    { clientsMax: 16, idleMs: 300 },
  );
  const holder = await ControlClient.connect(file);
  t.teardown(() => holder.close());
  await holder.ask({ order: 'hold' });
  const silent = Array.from({ length: 100 }, () => new RawClient(t, file));
  const half = new RawClient(t, file);
  half.socket.write('{"order":"pi');
  {
    using client = await ControlClient.connect(file);
    t.equal(await client.ask({ order: 'ping' }, 2000), 'pong', 'although a hundred say nothing');
  }
  t.equal(await holder.ask({ order: 'ping' }), 'pong');
  await Promise.all([...silent, half].map(({ closed }) => closed));
  t.pass('the silent ones, and the one of half a line, are ended in time');
  t.equal(await holder.ask({ order: 'ping' }), 'pong', 'the one that holds something is not');

  const holders = await Promise.all(
    Array.from({ length: 15 }, async () => {
      const client = await ControlClient.connect(file);
      t.teardown(() => client.close());
      return client.ask({ order: 'hold' });
    }),
  );
  t.equal(holders.length, 15);
  await t.rejects(
    ControlClient.connect(file).then((client) => client.ask({ order: 'ping' })),
    { code: 'BUSY' },
    'nobody gives up a place for one more',
  );
});

t.test('answers that nobody reads do not heap up', async (t) => {
  let asked = 0;
  const file = await listening(t, { large: () => (asked++, 'x'.repeat(1 << 18)) }, { idleMs: 300 });
  const socket = net.connect(file).pause();
  t.teardown(() => socket.destroy());
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined);
  socket.write('{"order":"large"}\n'.repeat(1000));
  await new Promise((resolve) => setTimeout(resolve, 400));
  t.ok(asked < 10, `${asked} of 1000 were answered`);
  socket.resume();
  await closed;
});

/** Orders as commands send them. */
const SEEDS = [
  { order: 'hook', file: '/etc/vnet-bpf/hook.ts', onError: 'drop' },
  { order: 'hook', file: null },
  { order: 'faults', document: '{"seed":7,"rules":["udp port 53 nth 2: drop"]}', file: null, seed: null },
  { order: 'faults', document: null, file: '/etc/vnet-bpf/rules.ts', seed: 7 },
  { order: 'faults-report' },
  { order: 'impair', words: ['delay', '20ms', '5ms', 'loss', '1%'] },
  { order: 'impair', words: null },
  { order: 'carrier', direction: 'down', forMs: 2000 },
  { order: 'cut', ms: 2000 },
  { order: 'carrier', direction: 'down', forMs: null },
  { order: 'carrier', direction: 'up', forMs: null },
  { order: 'inject', frame: Buffer.alloc(60, 7).toString('base64') },
  { order: 'pause' },
  { order: 'peek' },
  { order: 'step', verdict: 'replace', frame: Buffer.alloc(60).toString('base64') },
  { order: 'resume' },
  { order: 'record', bufferBytes: 1 << 25, snapLen: 262144 },
  { order: 'record-stop' },
  { order: 'record-pause', paused: true },
  { order: 'fault-rules', set: 7 },
].map((order) => JSON.stringify(order));

const HOSTILE = [
  'null',
  '-1',
  '1e308',
  '1e999',
  '18446744073709551616',
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '[]',
  '{}',
  '[[[[]]]]',
  'true',
  '"__proto__"',
  '{"__proto__":{"order":"pause"}}',
  '"../../etc/passwd"',
  `"${'A'.repeat(2000)}"`,
];

t.test('50,000 mutated orders', async (t) => {
  const source = Random.announced(t);
  const { seed } = source;
  const random = (below: number): number => source.between(0, below - 1);
  const pick = <T>(of: readonly T[]): T => source.pick(of);
  const mutate = (line: string): string => {
    const bytes = Buffer.from(line);
    for (let n = 1 + random(3); n > 0; n--) {
      switch (random(6)) {
        case 0:
          bytes[random(bytes.length)] = random(256);
          break;
        case 1:
          return bytes.subarray(0, random(bytes.length)).toString('latin1');
        case 2:
          return line.replace(/:("[^"]*"|[\d]+|null|\[.*\])/g, (value) =>
            random(2) === 0 ? `:${pick(HOSTILE)}` : value,
          );
        case 3:
          return line + pick(SEEDS);
        case 4:
          return line.replace(
            '{',
            `{"${pick(['__proto__', 'constructor', 'order', 'toString', 'file'])}":${pick(HOSTILE)},`,
          );
        default:
          bytes.copy(bytes, random(bytes.length), random(bytes.length));
      }
    }
    return bytes.toString(random(2) === 0 ? 'latin1' : 'utf8');
  };

  const seen: unknown[] = [];
  const loop = {
    pause: async () => undefined,
    resume: async () => undefined,
    faultsReport: async () => null,
    cut: async (ms: unknown) => void seen.push(typeof ms === 'number' && ms >= 0 && ms <= 3_600_000 ? null : ms),
    peek: async () => null,
    inject: async (frame: unknown) => void seen.push(frame instanceof Uint8Array && frame.length >= 14 ? null : frame),
    step: async (verdict: unknown) =>
      void seen.push(verdict === 'pass' || verdict === 'drop' || verdict instanceof Uint8Array ? null : verdict),
  };
  const isHook = (hook: { file: unknown; onError: unknown } | null): boolean =>
    hook === null ||
    (typeof hook.file === 'string' &&
      hook.file.startsWith('/') &&
      [null, 'pass', 'drop', 'detach'].includes(hook.onError as string | null));
  const areFaults = (wish: { faults: FaultsWish } | null): boolean =>
    wish === null ||
    ('document' in wish.faults
      ? Array.isArray((JSON.parse(wish.faults.document) as { rules: unknown }).rules)
      : 'file' in wish.faults &&
        wish.faults.file.startsWith('/') &&
        (wish.faults.seed === null || Number.isSafeInteger(wish.faults.seed)));
  const controller = {
    log: { write: () => undefined },
    attachment: { iface: 'vnet0' },
    loop,
    use: async (kind: 'hook' | 'faults', wish: JudgeWish | null) =>
      void seen.push((kind === 'hook' ? isHook : areFaults)(wish as never) ? null : wish),
    carrier: {
      lose: (forMs: unknown) =>
        void seen.push(
          forMs === null || (typeof forMs === 'number' && forMs >= 0 && forMs <= 3_600_000) ? null : forMs,
        ),
      restore: () => undefined,
    },
    impair: async (words: unknown) =>
      void seen.push(
        words === null || (Array.isArray(words) && words.every((word) => typeof word === 'string')) ? null : words,
      ),
  };
  const recorder = new RecorderOrders(
    () => 'vnet0',
    { get64: () => 0 } as unknown as SharedWords,
    async (request) => {
      seen.push(
        [request.bufferBytes, request.snapLen].every((each) => Number.isInteger(each) && each > 0 && each < 2 ** 31)
          ? null
          : request,
      );
      return { stopTracing: () => undefined, pause: () => undefined, end: async () => undefined } as never;
    },
    () => null,
  );
  const file = await listening(t, { ...loopOrders(controller as unknown as Controller), ...recorder.orders });

  const rounds = 50;
  const each = 1000;
  let fine = 0;
  let refused = 0;
  const before = process.memoryUsage.rss();
  for (let round = 0; round < rounds; round++) {
    const client = new RawClient(t, file);
    const lines = Array.from({ length: each }, () => mutate(pick(SEEDS)).replaceAll('\n', ' '));
    client.socket.write(`${lines.join('\n')}\n`);
    await client.answered(each);
    if (client.answers.length !== each)
      t.fail(
        `seed ${seed}, round ${round}: ${client.answers.length} answers, and the connection is ${client.socket.closed ? 'closed' : 'open'}`,
      );
    for (const { error } of client.answers) {
      if (!error) fine++;
      else if (error.code === 'INTERNAL') t.fail(`seed ${seed}, round ${round}: ${error.message}`);
      else refused++;
    }
    client.socket.destroy();
    await client.closed;
  }
  t.equal(fine + refused, rounds * each, `seed ${seed}: ${fine} obeyed, ${refused} refused`);
  t.ok(fine > 1000 && refused > 10_000, 'some of both');
  t.same(
    seen.filter((each) => each !== null),
    [],
    `seed ${seed}: nothing but what an order may say came through`,
  );
  t.ok(process.memoryUsage.rss() - before < 200e6, 'memory is bounded');
  using client = await ControlClient.connect(file);
  await t.rejects(client.ask({ order: 'peek' }), { code: 'STATE' }, 'and the next client is answered');
});
