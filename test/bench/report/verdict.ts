// SPDX-License-Identifier: MIT
/** The ratios that were promised, and whether they hold in this run. */
import { DUEL } from '../measures/duel';
import { IDLE } from '../measures/idle';
import { LIFECYCLE } from '../measures/lifecycle';
import type { Sample, Section } from '../measures/measure';
import { RTT, RTT_IDLE, RTT_LOADED } from '../measures/rtt';
import { TCP, tcpLoad } from '../measures/tcp';
import { UDP, udpLoad } from '../measures/udp';
import { BUSY, PLAIN, SLEEPY } from '../systems/field';
import { median } from './statistics';
import { distinct, format, markdown, valuesOf } from './table';

interface Promised {
  what: string;
  section: Section;
  load: string;
  /** Of the section's column `key`, or of its main value. */
  key?: string;
  ours: string;
  /** Divided by this system's; null: the value itself. */
  by: string | null;
  bound: number;
  atLeast: boolean;
}

const small = udpLoad({ bytes: 64, flows: 1 });
const large = udpLoad({ bytes: 1400, flows: 1 });
const least = { atLeast: true } as const;
const most = { atLeast: false } as const;

/** `plain` is the product without GRO, which the twin has not either. */
function promises(plain: string, samples: readonly Sample[]): Promised[] {
  const loads = distinct(
    samples.filter(({ section }) => section === UDP.id),
    'load',
  );
  const duels = distinct(
    samples.filter(({ section }) => section === DUEL.id),
    'load',
  );
  return [
    ...duels.map((load) => ({
      what: `UDP ${load}: our poller / its C twin`,
      section: DUEL,
      load,
      key: 'ratio',
      ours: plain,
      by: null,
      bound: 0.97,
      ...least,
    })),
    ...[small, large].map((load) => ({
      what: `UDP ${load}: ours / TAP`,
      section: UDP,
      load,
      ours: 'ours',
      by: 'tap',
      bound: 2,
      ...least,
    })),
    ...[small, large].map((load) => ({
      what: `UDP ${load}: ours without GRO / TAP`,
      section: UDP,
      load,
      ours: plain,
      by: 'tap',
      bound: 1.1,
      ...least,
    })),
    ...loads.map((load) => ({
      what: `UDP ${load}: lost in ours, %`,
      section: UDP,
      load,
      key: 'lossPercent',
      ours: 'ours',
      by: null,
      bound: 0,
      ...most,
    })),
    ...[1, 4].map((n) => ({
      what: `TCP ${tcpLoad(n)}: ours / TAP`,
      section: TCP,
      load: tcpLoad(n),
      ours: 'ours',
      by: 'tap',
      bound: 1,
      ...least,
    })),
    ...[1, 4].map((n) => ({
      what: `TCP ${tcpLoad(n)}: ours / redirect`,
      section: TCP,
      load: tcpLoad(n),
      ours: 'ours',
      by: 'redirect',
      bound: 0.8,
      ...least,
    })),
    {
      what: 'round trip p50 under load: ours / TAP',
      section: RTT,
      load: RTT_LOADED,
      ours: 'ours',
      by: 'tap',
      bound: 1,
      ...most,
    },
    {
      what: 'round trip p50 idle: ours with busy poll / without',
      section: RTT,
      load: RTT_IDLE,
      ours: BUSY,
      by: SLEEPY,
      bound: 0.6,
      ...most,
    },
    { what: 'idle, % of a core', section: IDLE, load: '', ours: 'ours', by: null, bound: 0.5, ...most },
    {
      what: 'resident memory after traffic, MB',
      section: IDLE,
      load: '',
      key: 'rssMb',
      ours: 'ours',
      by: null,
      bound: 90,
      ...most,
    },
    { what: 'attach --daemon, ms', section: LIFECYCLE, load: '', ours: 'ours', by: null, bound: 500, ...most },
    { what: 'stats, ms', section: LIFECYCLE, load: '', key: 'statsMs', ours: 'ours', by: null, bound: 150, ...most },
  ];
}

/** A table of what was promised of that which was measured. */
export function verdict(all: readonly Sample[]): string {
  const plain = all.some(({ system }) => system === PLAIN) ? PLAIN : 'ours';
  const rows = promises(plain, all).flatMap(({ what, section, load, key, ours, by, bound, atLeast }) => {
    const samples = all
      .filter((sample) => sample.section === section.id && (load === '' || sample.load === load))
      .map((sample) => ({ ...sample, load }));
    const of = (system: string): number => median(valuesOf(samples, load, system, { key: key ?? section.value.key }));
    const value = by === null ? of(ours) : of(ours) / of(by);
    if (Number.isNaN(value)) return [];
    return [
      [
        what,
        `${atLeast ? 'at least' : 'at most'} ${bound}`,
        format(value),
        (atLeast ? value >= bound : value <= bound) ? 'yes' : '**no**',
      ],
    ];
  });
  return markdown([['promised', 'bound', 'measured', 'holds'], ...rows]);
}
