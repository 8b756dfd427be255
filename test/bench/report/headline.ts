// SPDX-License-Identifier: MIT
/** The few figures that most readers look for: the product with its defaults next to what people use instead. */
import { IDLE } from '../measures/idle';
import type { Sample, Section } from '../measures/measure';
import { RTT, RTT_IDLE, RTT_LOADED } from '../measures/rtt';
import { TCP, tcpLoad } from '../measures/tcp';
import { UDP, udpLoad } from '../measures/udp';
import { median } from './statistics';
import { format, markdown, valuesOf } from './table';

interface Figure {
  what: string;
  section: Section;
  /** Any load, if null. */
  load: string | null;
  /** Of the section's column `key`, or of its main value. */
  key?: string;
}

const one = udpLoad({ bytes: 64, flows: 1 });
const many = udpLoad({ bytes: 64, flows: 64 });

const FIGURES: readonly Figure[] = [
  { what: 'UDP, one flow of 64 bytes: delivered, packets/s', section: UDP, load: one },
  { what: 'the same: lost of what was sent, %', section: UDP, load: one, key: 'lossPercent' },
  { what: 'UDP, 64 flows of 64 bytes: delivered, packets/s', section: UDP, load: many },
  { what: 'the same: lost of what was sent, %', section: UDP, load: many, key: 'lossPercent' },
  { what: 'TCP, one stream, Gbit/s', section: TCP, load: tcpLoad(1) },
  { what: 'TCP, four streams, Gbit/s', section: TCP, load: tcpLoad(4) },
  { what: 'round trip on an idle loop, median, µs', section: RTT, load: RTT_IDLE },
  { what: 'round trip beside other traffic, median, µs', section: RTT, load: RTT_LOADED },
  { what: 'memory of the process, MB', section: IDLE, load: null, key: 'rssMb' },
];

const SYSTEMS = [
  ['vnet-bpf', 'ours'],
  ['TAP with an echo in C', 'tap'],
  ['redirect in the kernel', 'redirect'],
] as const;

/** A table of them, as far as they were measured; a dash where a system was not. */
export function headline(all: readonly Sample[]): string {
  const rows = FIGURES.flatMap(({ what, section, load, key }) => {
    const samples = all
      .filter((sample) => sample.section === section.id && (load === null || sample.load === load))
      .map((sample) => ({ ...sample, load: '' }));
    const cells = SYSTEMS.map(([, system]) =>
      format(median(valuesOf(samples, '', system, { key: key ?? section.value.key }))),
    );
    return samples.length === 0 ? [] : [[what, ...cells]];
  });
  return markdown([['', ...SYSTEMS.map(([name]) => name)], ...rows]);
}
