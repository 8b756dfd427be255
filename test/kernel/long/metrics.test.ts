// SPDX-License-Identifier: MIT
/**
 * `stats --prometheus` and `attach --metrics`: the same numbers as `stats --json`, for as long as the interface exists.
 */
import * as http from 'node:http';
import * as net from 'node:net';

import t from 'tap';

import type { Stats } from '../../../src/datapath/stats';
import { attachedIn, cannotRun, cli, cliOk, SLOW, type Attached } from '../../helpers/cli';
import { controllerPid, eventually, listed } from '../../helpers/controller';
import { okIn, quietNetns } from '../../helpers/netns';
import { missingFrom, parseMetrics, promtoolSays, withoutPromtool } from '../../helpers/prometheus';

t.setTimeout(120_000 * SLOW);

interface Answer {
  status: number;
  type: string;
  text: string;
}

/** This is not fetch(), whose connections stay open and keep the test's process alive. */
function get(url: string, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', text }),
      );
    });
    request.on('error', reject).end();
  });
}

function urlOf({ netns, iface }: Pick<Attached, 'netns' | 'iface'>): string {
  const url = listed(netns, iface)?.metrics;
  if (typeof url !== 'string') throw new Error('list names no URL');
  return url;
}

const LOOPED = ['--addr', '10.77.0.1/24'];
const ping = (netns: string): string => okIn(netns, 'ping', ['-q', '-c', '5', '-i', '0.02', '-W', '5', '10.77.0.1']);

/** A text requested while no number changed must have all of them; returns what it lacks. */
async function lacks(nic: Attached, ask: () => Promise<string>): Promise<string[]> {
  const json = (): string => cliOk(['stats', nic.iface, '--netns', nic.netns, '--json']);
  for (let tries = 0, before = json(); ; tries++) {
    const text = await ask();
    const after = json();
    if (before === after || tries === 10)
      return missingFrom(parseMetrics(text), JSON.parse(after) as Stats, { interface: nic.iface, netns: nic.netns });
    before = after;
  }
}

t.test('every number of stats --json, from the command and over HTTP', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), [...LOOPED, '--metrics', '127.0.0.1:0', '--queue-packets', '500']);
  const where = [nic.iface, '--netns', nic.netns];
  ping(nic.netns);
  await nic.atRest();
  const url = urlOf(nic);
  t.match(url, /^http:\/\/127\.0\.0\.1:[1-9]\d*\/metrics$/, 'the port that it got is announced');
  t.match(cliOk(['log', ...where]), `metrics of vnet0 at ${url}`, 'in the log, too');

  t.same(
    await lacks(nic, () => Promise.resolve(cliOk(['stats', ...where, '--prometheus']))),
    [],
    'the command has them all',
  );
  t.same(await lacks(nic, async () => (await get(url)).text), [], 'and the controller');
  const { status, type, text } = await get(url);
  t.match({ status, type }, { status: 200, type: /^text\/plain; version=0\.0\.4/ });
  t.ok(
    (parseMetrics(text).get(`vnet_bpf_rx_packets_total{interface="vnet0",netns="${nic.netns}"}`) ?? 0) >= 10,
    'frames were counted',
  );
  // Its status is that of others on the machine, too.
  t.match(
    cli(['stats', '--prometheus']).stdout,
    `vnet_bpf_tx_packets_total{interface="vnet0",netns="${nic.netns}"}`,
    'without a name: all',
  );

  t.match(await get(url, 'POST'), { status: 405 });
  t.match(await get(new URL('/', url).href), { status: 404 });
  t.match(await get(url, 'HEAD'), { status: 200, text: '' });
  t.test('promtool has nothing to say', { skip: withoutPromtool() }, async (t) => {
    t.equal(promtoolSays(text), '');
  });

  cliOk(['detach', ...where]);
  await t.rejects(get(url), { code: 'ECONNREFUSED' }, 'it ends with the interface');
});

t.test('several interfaces of one process; an IPv6 address', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  t.teardown(() => ['vnet0', 'vnet1'].forEach((iface) => cli(['detach', iface, '--netns', netns])));
  const said = cliOk(['attach', 'vnet0', 'vnet1', '--netns', netns, '--metrics', '[::1]:0', '--daemon']);
  const url = /^metrics at (http:\/\/\[::1\]:\d+\/metrics)$/m.exec(said)?.[1] ?? '';
  t.match(url, 'http', 'the URL is said');
  t.same(
    ['vnet0', 'vnet1'].map((iface) => urlOf({ netns, iface })),
    [url, url],
    'each names it',
  );
  const names = async (): Promise<string[]> =>
    [...parseMetrics((await get(url)).text).keys()].flatMap(
      (name) => /^vnet_bpf_info.*interface="(\w+)"/.exec(name)?.[1] ?? [],
    );
  t.same(await names(), ['vnet0', 'vnet1']);
  cliOk(['detach', 'vnet0', '--netns', netns]);
  t.same(await names(), ['vnet1'], 'one that is detached is gone');
  cliOk(['detach', 'vnet1', '--netns', netns]);
  await t.rejects(get(url), { code: 'ECONNREFUSED' }, 'with the last one the server ends');
});

t.test('the same port for a replacement, and for what a killed controller left', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), [...LOOPED, '--metrics', '127.0.0.1:0']);
  const url = urlOf(nic);
  const again = ['attach', nic.iface, '--netns', nic.netns, '--metrics', new URL(url).host, '--daemon', ...LOOPED];
  cliOk([...again, '--replace']);
  t.match(await get(url), { status: 200 }, 'the new one serves it');
  const pid = controllerPid(nic.netns, nic.iface);
  process.kill(pid, 'SIGKILL');
  t.ok(await eventually(() => listed(nic.netns, nic.iface)?.metrics === null), 'a killed one serves nothing');
  cliOk(again);
  t.equal(urlOf(nic), url);
  t.match(await get(url), { status: 200 });
  ping(nic.netns);
});

t.test('a port that another program has taken after a crash prevents no adoption', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), [...LOOPED, '--metrics', '127.0.0.1:0']);
  const url = urlOf(nic);
  const { host, port } = new URL(url);
  process.kill(controllerPid(nic.netns, nic.iface), 'SIGKILL');
  t.ok(await eventually(() => listed(nic.netns, nic.iface)?.metrics === null));
  const thief = net.createServer();
  await new Promise<void>((resolve) => thief.listen(Number(port), '127.0.0.1', resolve));
  cliOk(['attach', nic.iface, '--netns', nic.netns, '--metrics', host, '--daemon', ...LOOPED]);
  ping(nic.netns);
  t.match(cliOk(['log', nic.iface, '--netns', nic.netns]), /metrics of vnet0 are not served yet: .*the port is in use/);
  t.equal(listed(nic.netns, nic.iface)?.metrics, null);
  await new Promise((resolve) => thief.close(resolve));
  t.ok(await eventually(() => listed(nic.netns, nic.iface)?.metrics === url), 'served as soon as the port is free');
  t.match(await get(url), { status: 200 });
});
