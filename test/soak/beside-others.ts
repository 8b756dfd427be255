// SPDX-License-Identifier: MIT
/**
 * `beside-others.ts GROUP ...`: runs groups of tests while another process makes and deletes namespaces, interfaces,
 * routing rules, and maps and programs that are pinned. No test may take any of that for its own. The network
 * namespace, /run and the BPF file system that both share are not the machine's.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { BpfMap, BpfObject, MapType } from '../../src/libbpf-ts/src/index';
import { OWN_FILE_SYSTEMS } from '../report/sandbox';

const PREPARE = `${OWN_FILE_SYSTEMS}exec "$@"
`;
const PINS = '/sys/fs/bpf/others';
const OBJECT = 'dist/bpf/vnet.bpf.o';
/** How long each thing exists, so that tests run both with it and without it. */
const STAY_MS = 200;

const ip = (...args: string[]): void => void spawnSync('ip', args, { stdio: 'ignore' });

/** Makes and deletes until it is ended; prints a dot for each round. */
async function beOthers(): Promise<never> {
  for (let round = 0; ; round++) {
    const name = `others${round % 8}`;
    ip('netns', 'add', name);
    ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`);
    ip('link', 'set', name, 'up');
    ip('addr', 'add', '10.99.0.1/24', 'dev', name);
    ip('rule', 'add', 'pref', String(100 + (round % 8)), 'from', '10.99.0.2', 'table', '99');
    mkdirSync(PINS, { recursive: true });
    const map = BpfMap.create({ type: MapType.ARRAY, keySize: 4, valueSize: 8, maxEntries: 1, name: 'others' });
    map.pin(`${PINS}/map`);
    // The product's own programs, as another user of it has them.
    const object = BpfObject.open(OBJECT);
    object.load();
    await delay(STAY_MS);
    object[Symbol.dispose]();
    map[Symbol.dispose]();
    await delay(STAY_MS); // the map is pinned and no process has it
    rmSync(`${PINS}/map`, { force: true });
    ip('rule', 'del', 'pref', String(100 + (round % 8)));
    ip('link', 'del', name);
    ip('netns', 'del', name);
    process.stdout.write('.');
    await delay(STAY_MS);
  }
}

async function runBeside(groups: readonly string[]): Promise<number> {
  const others = spawn(process.execPath, [...process.execArgv, __filename, '--others'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let rounds = 0;
  others.stdout.on('data', (dots: Buffer) => (rounds += dots.length));
  const ended = new Promise<void>((resolve) => others.once('exit', () => resolve()));
  const tests = spawn(process.execPath, [...process.execArgv, 'test/run-tests.ts', ...groups], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => tests.kill(signal));
  const status = await new Promise<number>((resolve) => tests.once('exit', (code) => resolve(code ?? 1)));
  const died = others.exitCode !== null;
  others.kill('SIGKILL');
  await ended;
  if (died || rounds === 0) {
    console.log(`not ok: the other process ${died ? 'died' : 'did nothing'}`);
    return 1;
  }
  console.log(`# beside ${rounds} rounds of another process`);
  return status;
}

async function main([first = '', ...rest]: readonly string[]): Promise<number> {
  if (first === '--others') return beOthers();
  if (first === '--inside') return runBeside(rest);
  const args = [
    '--mount',
    '--net',
    '--propagation',
    'private',
    'sh',
    '-c',
    PREPARE,
    'beside-others',
    process.execPath,
    ...process.execArgv,
    __filename,
    '--inside',
    first,
    ...rest,
  ];
  return spawnSync('unshare', args, { stdio: 'inherit' }).status ?? 1;
}

main(process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
