// SPDX-License-Identifier: MIT
/**
 * The formats of capture files: `record`, `replay` and their help read these tables. The code of a format is loaded
 * when it is used.
 */
import type { CaptureReader, CaptureWriter } from './contract';

const pcapng = () => require('./pcapng') as typeof import('./pcapng');
const pcapngWriting = () => require('./pcapng-writer') as typeof import('./pcapng-writer');
const pcap = () => require('./pcap') as typeof import('./pcap');

/** Formats that are read: `replay` takes them. */
export const READERS: readonly { name: string; load: () => CaptureReader }[] = [
  { name: 'pcapng', load: () => pcapng().pcapngReader },
  { name: 'pcap', load: () => pcap().pcapReader },
];

/** Compressions that reader.ts unpacks. */
export const UNPACKED = ['gzip', 'zstd'] as const;

export interface WrittenFormat {
  name: string;
  /** The end of a file's name, which makes `record` write this format. */
  ending: string;
  load: () => new () => CaptureWriter;
}

/** What is written unless the name of the file asks for another format; Wireshark gets it from `extcap`. */
export const DEFAULT_WRITER: WrittenFormat = {
  name: 'pcapng',
  ending: '.pcapng',
  load: () => pcapngWriting().PcapngWriter,
};

/** Formats that are written. */
export const WRITERS: readonly WrittenFormat[] = [DEFAULT_WRITER];

/** The format in which a file of that name is written. */
export const writerFor = (file: string): WrittenFormat =>
  WRITERS.find(({ ending }) => file.endsWith(ending)) ?? DEFAULT_WRITER;

// In words, for help.

const or = (names: readonly string[]): string => names.join(' or ');

/** What is read: `pcapng or pcap`. */
export const READ_FORMATS = or(READERS.map(({ name }) => name));
/** What is unpacked: `gzip or zstd`. */
export const UNPACKED_FORMATS = or(UNPACKED);
/** What is written: the default, and other formats with their endings. */
export const WRITTEN_FORMATS = WRITERS.map((format) =>
  format === DEFAULT_WRITER ? format.name : `or in ${format.name} if its name ends in ${format.ending}`,
).join(', ');
