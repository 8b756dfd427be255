// SPDX-License-Identifier: MIT
/** Which experiments a run consists of, on which systems, how long and how often. */
import { DUEL, duels } from './measures/duel';
import { GC, gc } from './measures/gc';
import { IDLE, idle } from './measures/idle';
import { LIFECYCLE, lifecycle } from './measures/lifecycle';
import { LOSSLESS, lossless } from './measures/lossless';
import { MANY, many } from './measures/many';
import type { Measure, Sample, Section } from './measures/measure';
import { RTT, rttIdle, rttLoaded } from './measures/rtt';
import { STORM, storm } from './measures/storm';
import { BUDGET, RING_TCP, RING_UDP } from './measures/sweep';
import { TCP, tcp } from './measures/tcp';
import { UDP, udp } from './measures/udp';
import type { Options } from './options';
import type { Product } from './product';
import { interleave, takeTurns, together, type Say, type Trial } from './rounds';
import type { Field } from './systems/field';
import { ours } from './systems/ours';
import type { System } from './systems/system';

/** In the order of the report. */
export const SECTIONS: readonly Section[] = [
  UDP,
  DUEL,
  LOSSLESS,
  TCP,
  RTT,
  RING_TCP,
  RING_UDP,
  BUDGET,
  STORM,
  IDLE,
  MANY,
  LIFECYCLE,
  GC,
];

export interface Experiment {
  sections: readonly Section[];
  run(say: Say): Promise<Sample[]>;
}

const UDP_LOADS = [64, 512, 1400].flatMap((bytes) => [1, 64].map((flows) => ({ bytes, flows })));
const QUICK_UDP_LOADS = UDP_LOADS.filter(({ bytes, flows }) => bytes !== 512 && (flows === 1 || bytes === 64));
const RINGS = ['256K', '1M', '2M', '4M', '8M', '16M', '64M'];
const BUDGETS = ['1', '16', '64', '256', '1024'];
const QUEUES = {
  'default queue': [],
  '256 KiB': ['--ring-size', '256K'],
  '64 packets': ['--queue-packets', '64'],
  '64 packets, drop': ['--queue-packets', '64', '--when-full', 'drop'],
};

const compare = (systems: readonly System[], measures: readonly Measure[], rounds: number): Experiment => ({
  sections: [...new Set(measures.map(({ section }) => section))],
  run: (say) => interleave(systems, measures, rounds, say),
});

const inTurn = (section: Section, trials: readonly Trial[], rounds: number): Experiment => ({
  sections: [section],
  run: (say) => takeTurns(section, trials, rounds, say),
});

/** The poller and its twin; nothing if one of them does not take part. */
function duel({ quick, rounds }: Options, { duelists }: Field): Experiment[] {
  const [plain, twin] = duelists;
  if (!plain || !twin) return [];
  const loads = quick ? UDP_LOADS.filter(({ bytes, flows }) => bytes === 64 && flows === 1) : UDP_LOADS;
  return [{ sections: [DUEL], run: (say) => duels([plain, twin], loads, rounds, quick ? 10 : 28, say) }];
}

/** The product itself: at rest, commands, pauses, many interfaces. */
function product({ quick }: Options, { defaults, products, resting }: Field): Experiment[] {
  const forEach = (load: string, once: (each: Product) => ReturnType<Trial['once']>): Trial[] =>
    products.map((each) => ({ system: each.name, load, once: () => once(each) }));
  const counts = quick ? [1, 4] : [1, 4, 16, 64];
  return [
    { sections: [IDLE], run: (say) => together([...defaults, ...resting], idle(quick ? 3 : 30), say) },
    inTurn(
      LIFECYCLE,
      forEach('one interface', ({ main }) => lifecycle(main)),
      quick ? 1 : 3,
    ),
    inTurn(
      GC,
      forEach('64 B, one flow', ({ main }) => gc(main, { bytes: 64, flows: 1, seconds: quick ? 1 : 3 })),
      1,
    ),
    inTurn(
      MANY,
      counts.flatMap((count) => forEach(`${count}`, (each) => many(each, count))),
      1,
    ),
  ];
}

/** Throughput of the product against its options, and at lower speed. */
function sweeps({ product: { main }, lossy }: Field, seconds: number, rounds: number): Experiment[] {
  const variant = (name: string, args: string[]): System => ours(name, main, args);
  const rings = RINGS.map((size) => variant(size.replace('K', ' KiB').replace('M', ' MiB'), ['--ring-size', size]));
  const budgets = BUDGETS.map((budget) => variant(budget, ['--budget', budget]));
  const queues = Object.entries(QUEUES).map(([name, args]) => variant(name, args));
  const flow = { bytes: 64, flows: 1, seconds };
  return [
    compare(
      lossy,
      [64, 1400].map((bytes) => lossless({ bytes, flows: 1, seconds: 0.4 })),
      rounds,
    ),
    compare(rings, [tcp(1, 1, RING_TCP), udp({ ...flow, bytes: 1400 }, RING_UDP)], rounds),
    compare(budgets, [udp(flow, BUDGET)], rounds),
    compare(queues, [storm(main, flow)], rounds),
  ];
}

/** Those that --only asks for. */
export function experiments(options: Options, field: Field): Experiment[] {
  const { quick, rounds, only } = options;
  const unknown = only?.find((id) => !SECTIONS.some((section) => section.id === id));
  if (unknown !== undefined) throw new Error(`--only ${unknown}: there are ${SECTIONS.map(({ id }) => id).join(', ')}`);
  const seconds = quick ? 0.4 : 0.5;
  const floods = (quick ? QUICK_UDP_LOADS : UDP_LOADS).map((load) => udp({ ...load, seconds }));
  const transfers = (quick ? [1] : [1, 4]).map((streams) => tcp(streams, 1.2));
  const pings = [rttIdle, rttLoaded].map((measure) => measure(quick ? 0.4 : 0.8));
  const wanted = (sections: readonly Section[]): boolean =>
    only === null || sections.some(({ id }) => only.includes(id));
  return [
    compare(
      field.throughput,
      [...floods, ...transfers].filter(({ section }) => wanted([section])),
      rounds,
    ),
    ...duel(options, field),
    compare(field.latency, pings, rounds),
    ...product(options, field),
    ...(quick && only === null ? [] : sweeps(field, seconds, Math.ceil(rounds / 3))),
  ].filter(({ sections }) => sections.length > 0 && wanted(sections));
}
