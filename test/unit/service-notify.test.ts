// SPDX-License-Identifier: MIT
/** What a service manager hears, on both kinds of socket. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import t from 'tap';

import { notifyService, unixAddress } from '../../src/native/sockets';
import { NotifySocket } from '../helpers/notify-socket';
import { commandLine, readEnvironment } from '../helpers/unit-file';

t.afterEach(() => void delete process.env['NOTIFY_SOCKET']);

t.test('addresses', (t) => {
  t.same([...unixAddress('@a')], [1, 0, 0, 97], 'an abstract name: a zero in front, none behind');
  t.same([...unixAddress('/a')], [1, 0, 47, 97, 0], 'a path: the zero is behind');
  t.equal(unixAddress(`/${'x'.repeat(106)}`).length, 110);
  for (const wrong of [`/${'x'.repeat(107)}`, 'relative', '@', '/', 'vsock:2:1'])
    t.throws(() => unixAddress(wrong), { code: 'STATE' }, wrong.slice(0, 12));
  t.end();
});

for (const kind of ['abstract', 'file'] as const) {
  t.test(kind, async (t) => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-bpf-notify-'));
    t.teardown(() => fs.rmSync(directory, { recursive: true }));
    using socket = NotifySocket.bind(
      kind === 'file' ? path.join(directory, 'notify') : `@vnet-bpf-test-${randomBytes(4).toString('hex')}`,
    );
    process.env['NOTIFY_SOCKET'] = socket.name;
    await notifyService('READY=1', 'STATUS=vnet0 loops');
    await notifyService('STOPPING=1');
    t.same(socket.received(), ['READY=1\nSTATUS=vnet0 loops', 'STOPPING=1']);
  });
}

t.test('a manager that is slow to listen is waited for', async (t) => {
  using socket = NotifySocket.bind(`@vnet-bpf-test-${randomBytes(4).toString('hex')}`);
  process.env['NOTIFY_SOCKET'] = socket.name;
  // More than the kernel queues (net.unix.max_dgram_qlen).
  const count = Number(fs.readFileSync('/proc/sys/net/unix/max_dgram_qlen', 'utf8')) + 5;
  const sending = (async () => {
    for (let i = 0; i < count; i++) await notifyService(`STATUS=${i}`);
  })();
  await new Promise((resolve) => setImmediate(resolve));
  const heard: string[] = [];
  while (heard.length < count) {
    heard.push(...socket.received());
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await sending;
  t.same(
    heard,
    Array.from({ length: count }, (_, i) => `STATUS=${i}`),
  );
});

t.test('nobody wants to know', async (t) => {
  await notifyService('READY=1');
  process.env['NOTIFY_SOCKET'] = '@nobody-has-this-name';
  await t.rejects(notifyService('READY=1'), { code: 'SYSCALL', message: /ECONNREFUSED/ });
});

t.test('the unit reader of the tests', (t) => {
  const file = path.join(t.testdir({ conf: '# OPTIONS=no\nOPTIONS="--addr 10.0.0.1/24  --mtu 1400"\n' }), 'conf');
  t.same(commandLine('vnet-bpf attach %i $OPTIONS', 'vnet7', readEnvironment(file)), [
    'vnet-bpf',
    'attach',
    'vnet7',
    '--addr',
    '10.0.0.1/24',
    '--mtu',
    '1400',
  ]);
  t.same(commandLine('vnet-bpf attach %i $OPTIONS', 'vnet7', {}), ['vnet-bpf', 'attach', 'vnet7']);
  t.end();
});
