// SPDX-License-Identifier: MIT
/** BPF objects that are wrong in a certain way, made from the built one, because a guest has no compiler. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

import type { Test } from 'tap';

import { ROOT } from './cli';
import { sectionOf } from './elf';

export const OBJECT = path.join(ROOT, 'dist', 'bpf', 'vnet.bpf.o');
/** BPF_EXIT as the first instruction: the program ends before it has a value to return. */
const EXIT = Buffer.from([0x95, 0, 0, 0, 0, 0, 0, 0]);

/** A file that is removed when the test ends. */
export function temporaryFile(t: Test, name: string, content: Uint8Array | string): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'vnet-bpf-'));
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }));
  const file = path.join(directory, name);
  fs.writeFileSync(file, content);
  return file;
}

/** The built object with a first program that every verifier refuses. */
export function refusedObject(t: Test): string {
  const object = fs.readFileSync(OBJECT);
  EXIT.copy(object, sectionOf(object, 'tc').offset);
  return temporaryFile(t, 'refused.bpf.o', object);
}

/** The first half of the built object. */
export function tornObject(t: Test): string {
  const object = fs.readFileSync(OBJECT);
  return temporaryFile(t, 'torn.bpf.o', object.subarray(0, object.length >> 1));
}
