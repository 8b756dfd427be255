// SPDX-License-Identifier: MIT
/** Orders to a controller, asked and answered over a socket. */
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { ControlClient, ControlServer, type OrderHandler } from '../../src/control/socket';
import { VnetError } from '../../src/errors';

/** Not t.testdir(): a socket's path has 107 characters at the most. */
function directory(t: Test): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-bpf-'));
  t.teardown(() => fs.rmSync(made, { recursive: true }));
  return made;
}

async function listening(t: Test, handlers: Record<string, OrderHandler>): Promise<string> {
  const file = path.join(directory(t), 'control');
  const server = await ControlServer.listen(file, handlers);
  t.teardown(() => server.close());
  return file;
}

t.test('an order is answered, several in their order', async (t) => {
  const file = await listening(t, {
    double: ({ value }) => Number(value) * 2,
    slow: async ({ value }) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return value;
    },
  });
  t.equal(fs.statSync(file).mode & 0o777, 0o600, "it is root's alone");
  using client = await ControlClient.connect(file);
  t.same(
    await Promise.all([client.ask({ order: 'slow', value: 1 }), client.ask({ order: 'double', value: 2 })]),
    [1, 4],
  );
  t.equal(await client.ask({ order: 'double', value: 5 }), 10, 'the connection stays');
});

t.test('an error keeps its code and its hint', async (t) => {
  const file = await listening(t, {
    fail: () => {
      throw new VnetError('STATE', 'the hook', 'line 3: is wrong', { hint: 'fix it' });
    },
  });
  using client = await ControlClient.connect(file);
  await t.rejects(client.ask({ order: 'fail' }), {
    code: 'STATE',
    message: 'the hook: line 3: is wrong',
    hint: 'fix it',
  });
  await t.rejects(client.ask({ order: 'dance' }), { code: 'USAGE', message: /order "dance"/ });
  await t.rejects(client.ask({ order: 'toString' }), { code: 'USAGE' }, 'nothing inherited is an order');
});

t.test('garbage is answered, and hurts nobody', async (t) => {
  const file = await listening(t, { ping: () => 'pong' });
  const socket = net.connect(file);
  t.teardown(() => socket.destroy());
  socket.write('{"order":\n');
  const [line] = await new Promise<string[]>((resolve) =>
    socket.once('data', (data) => resolve(data.toString().split('\n'))),
  );
  t.match(JSON.parse(line ?? ''), { error: { code: 'USAGE', message: /is not JSON/ } });
  using client = await ControlClient.connect(file);
  t.equal(await client.ask({ order: 'ping' }), 'pong');
});

t.test('nobody there, or nobody answering', async (t) => {
  await t.rejects(ControlClient.connect(path.join(directory(t), 'none')), { code: 'BUSY' });
  const file = await listening(t, { never: () => new Promise(() => undefined) });
  using client = await ControlClient.connect(file);
  await t.rejects(client.ask({ order: 'never' }, 30), { code: 'BUSY', message: /did not answer within 0.03 s/ });
  await t.rejects(client.ask({ order: 'never' }), { code: 'BUSY' }, 'nor does it later');
});

t.test('the server hears when a client goes', async (t) => {
  let gone = (): void => undefined;
  const heard = new Promise<void>((resolve) => (gone = resolve));
  const file = await listening(t, { stay: (_, session) => session.onClose(gone) });
  const client = await ControlClient.connect(file);
  const alive = setInterval(() => undefined, 100); // the server's sockets do not keep the process
  t.teardown(() => clearInterval(alive));
  await client.ask({ order: 'stay' });
  client.close();
  await heard;
  t.pass('it did');
});
