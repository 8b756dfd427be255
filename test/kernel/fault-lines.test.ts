// SPDX-License-Identifier: MIT
/** Lines of faults on the kernel's own stack: CoDel keeps the queue short, and a trace is delivered as it was recorded. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { frameAccounting } from '../../src/datapath/stats';
import { Background } from '../helpers/background';
import { attachedIn, attachmentOf, cannotRun, checkAccounting, cli, cliOk, type Attached, SLOW } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { hookDirectory } from '../helpers/hook-file';
import { delay, WAIT_MS } from '../helpers/loop';
import { okIn, quietNetns } from '../helpers/netns';
import { OwnTcpFlow, OwnUdp } from '../helpers/own-sockets';
import { refused } from '../helpers/refusal';

t.setTimeout(240_000 * SLOW);

const ADDRESS = '10.77.0.1';

/** One flow alone takes long to fill a queue. */
const FLOWS = 6;
const RATE = 2e6;
/** How long the flows take to fill the queue. */
const FILL_MS = 2500;
/** The longest median of pings over a short queue, which they pass twice. */
const SHORT_MS = 200 * SLOW;
/**
 * How long CoDel may take until then. All flows start at once, and CoDel drops 25 frames in the first second and 50
 * more in each second after it, pings among them: here it takes 4 to 7 s.
 */
const SHORT_WITHIN_MS = 20_000 * SLOW;
/** Of 15 pings, those that have to be answered for their median to say something. */
const ANSWERS_LEAST = 4;

interface Loaded {
  /** Milliseconds that pings took beside flows of TCP. */
  pings: number[];
  /** Bits a second of these flows. */
  bits: number;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

async function pingTimes(t: Test, { netns }: Attached): Promise<number[]> {
  const ping = Background.start(t, netns, 'ping', ['-c', '15', '-i', '0.1', '-W', '5', ADDRESS]);
  await ping.ended;
  return [...ping.output.matchAll(/time=([\d.]+)/g)].map(([, ms]) => Number(ms));
}

async function loaded(t: Test, nic: Attached, getsShort: boolean): Promise<Loaded> {
  const flows = Array.from({ length: FLOWS }, () => OwnTcpFlow.start(t, nic.netns, ADDRESS));
  const begun = performance.now();
  await delay(FILL_MS);
  let pings: number[] = [];
  const isShort = (): boolean => pings.length >= ANSWERS_LEAST && median(pings) < SHORT_MS;
  while (getsShort && !isShort() && performance.now() < begun + SHORT_WITHIN_MS) pings = await pingTimes(t, nic);
  const after = Math.round(performance.now() - begun);
  if (getsShort) t.ok(isShort(), `after ${after} ms the queue is short: pings take ${pings.join()} ms`);
  for (let tries = 0; tries === 0 || (pings.length < ANSWERS_LEAST && tries < 5); tries++)
    pings = await pingTimes(t, nic);
  const passed = flows.map((flow) => flow.stop());
  return { pings, bits: passed.reduce((sum, { bytes, seconds }) => sum + (bytes * 8) / seconds, 0) };
}

t.test('TCP over a line with CoDel: a short queue, and the line is used', { skip: cannotRun }, async (t) => {
  const run = async (queue: string): Promise<Loaded> => {
    const rules = `ip: rate ${RATE}bit queue ${queue}`;
    const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`, '--faults', rules]);
    okIn(nic.netns, 'ping', ['-q', '-c', '1', '-W', '2', ADDRESS]);
    const result = await loaded(t, nic, queue === 'codel');
    t.ok(frameAccounting(await nic.atRest()).balanced, 'the frame accounting balances');
    const log = cliOk(['faults', 'vnet0', '--netns', nic.netns, '--log']);
    if (queue === 'codel') t.match(log, /"effect":"rate: codel"/);
    return result;
  };
  const tail = await run('1s');
  const codel = await run('codel');
  const times = `codel ${codel.pings.join()}; tail drop ${tail.pings.join()} ms`;
  t.comment(times);
  t.ok(median(codel.pings) < median(tail.pings) / 2, `and stays short: ${times}`);
  t.ok(codel.bits > RATE * 0.6 && codel.bits < RATE * 1.02, `${Math.round(codel.bits)} bit/s of ${RATE}`);
});

t.test('a trace becomes part of the rules, and survives a crash without its file', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);
  const where = ['vnet0', '--netns', nic.netns];
  const file = path.join(hookDirectory(t), 'a.trace');
  // A pause in which all packets are sent; 100 packets a second for half a second; a pause, and one packet.
  fs.writeFileSync(file, [...Array.from({ length: 50 }, (_, i) => 300 + 10 * (i + 1)), 1300].join('\n'));
  cliOk(['faults', ...where, `udp: trace ${file} queue 10s`]);
  fs.rmSync(file);
  const measure = async (): Promise<void> => {
    const udp = new OwnUdp(t, nic.netns, ADDRESS, 1472);
    const start = performance.now();
    udp.offer(100);
    const times: number[] = [];
    while (udp.received < 100 && performance.now() < start + 20_000) {
      const before = udp.received;
      udp.take();
      for (let i = before; i < udp.received; i++) times.push(performance.now() - start);
      await delay(1);
    }
    t.equal(udp.received, 100);
    t.equal(udp.outOfOrder, 0);
    // The 50th packet leaves after 800 ms, the 51st after 1300 ms, with which the trace begins anew.
    const since = (number: number): number => (times[number - 1] ?? NaN) - (times[50] ?? NaN);
    for (const [number, ms] of [
      [50, -500],
      [52, 310],
      [100, 790],
    ] as const)
      t.ok(Math.abs(since(number) - ms) < 60 * SLOW, `packet ${number} ${since(number)} ms after the 51st, not ${ms}`);
  };
  await measure();
  process.kill(attachmentOf(nic).pid, 'SIGKILL');
  t.ok(await eventually(() => nic.stats().state === 'crashed'));
  cliOk(['attach', 'vnet0', '--netns', nic.netns, '--addr', `${ADDRESS}/24`, '--daemon']);
  t.match(cliOk(['faults', ...where, '--show']), `udp: trace ${file} queue 10s`);
  await measure();
  checkAccounting(t, nic, await nic.atRest());
});

t.test('a file that is no trace: one line, and nothing has changed', { skip: cannotRun }, async (t) => {
  const nic = attachedIn(t, quietNetns(t), ['--addr', `${ADDRESS}/24`]);
  const file = path.join(hookDirectory(t), 'bad.trace');
  for (const [content, says] of [
    ['', /trace ".*bad.trace": has no times/],
    ['10\n5\n', /goes back in time in line 2: from 10 to 5/],
    ['1\nx\n', /has no number of milliseconds in line 2: "x"/],
    [Buffer.alloc(4096), /has no number of milliseconds in line 1/],
  ] as const) {
    fs.writeFileSync(file, content, { mode: 0o644 });
    await refused(t, [
      { args: ['faults', 'vnet0', '--netns', nic.netns, `udp: trace ${file}`], status: 2, says, hints: /in each line/ },
      { args: ['run', '--faults', `udp: trace ${file}`, '--', 'true'], status: 2, says },
    ]);
  }
  t.match(cli(['faults', 'vnet0', '--netns', nic.netns, '--show']).stdout, /has no faults/);
  const udp = new OwnUdp(t, nic.netns, ADDRESS, 100);
  udp.offer(10);
  t.ok(await udp.takeUntil(10, WAIT_MS), `${udp.received} of 10 came back`);
});
