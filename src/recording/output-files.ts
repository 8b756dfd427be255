// SPDX-License-Identifier: MIT
/** The files of a recording: one, or several that follow each other, of which the latest are kept. */
import * as path from 'node:path';

import { removeOutput } from '../native/output-file';
import { openSink, type Sink } from './sink';

/** When another file is begun. */
export interface Rotation {
  /** Bytes that a file may have; Infinity: any number. */
  bytes: number;
  /** Seconds from the first frame of a file on; Infinity: for ever. */
  seconds: number;
  /** Files that are kept; Infinity: all. */
  files: number;
}

export interface OutputFiles {
  readonly rotation: Rotation | null;
  /** The next one. Throws a VnetError. */
  open(): Sink;
}

export const oneFile = (open: () => Sink): OutputFiles => ({ rotation: null, open });

/** Named `run-00001.pcapng`, `run-00002.pcapng` and so on. */
export class NumberedFiles implements OutputFiles {
  private count = 0;
  private readonly kept: string[] = [];
  private latest = '';

  constructor(
    private readonly file: string,
    readonly rotation: Rotation,
  ) {}

  /** Which files there are. */
  get words(): string {
    const [first = this.latest] = this.kept;
    const files = this.kept.length < 2 ? this.latest : `${this.kept.length} files, ${first} to ${this.latest}`;
    return this.kept.length < this.count ? `${this.count} files, of which the latest are there: ${first} to ${this.latest}` : files;
  }

  /** Of those that there are. */
  get names(): readonly string[] {
    return this.kept;
  }

  open(): Sink {
    const { dir, name, ext } = path.parse(this.file);
    const file = path.join(dir, `${name}-${String(++this.count).padStart(5, '0')}${ext}`);
    const sink = openSink(file);
    this.kept.push(file);
    this.latest = file;
    while (this.kept.length > this.rotation.files) removeOutput(this.kept.shift() as string);
    return sink;
  }
}
