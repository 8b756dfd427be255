// SPDX-License-Identifier: MIT
/** The programs of kinds.bpf.c, each loaded without the others, and what they see of that to which they are attached. */
import type { Test } from 'tap';

import {
  AttachType,
  BpfObject,
  type BpfProgram,
  kernelIsAtLeast,
  type Link,
  NotSupportedError,
  OldLibraryError,
  ProgramType,
} from '../../src/index';
import { u32 } from './machine';

/** The programs of kinds.bpf.c, in the order of their keys. */
const NAMES = [
  'raw_tp',
  'tracepoint',
  'perf_event',
  'uprobe',
  'uretprobe',
  'usdt',
  'kprobe_multi',
  'ksyscall',
  'kprobe',
  'uprobe_multi',
  'lsm',
  'socket',
  'sk_lookup',
  'flow_dissector',
  'connect4',
  'connect4_too',
  'sysctl',
  'device',
  'getsockopt',
  'sockops',
  'xdp',
  'tc',
  'tc_too',
  'cgroup_ingress',
] as const;
export type Name = (typeof NAMES)[number];

export const COOKIE = 0x1234_5678_9abc_def0n;

/** Some programs of kinds.bpf.c, loaded without the others: the kernel may lack what one of those needs. */
export class Kinds implements Disposable {
  readonly object: BpfObject;

  constructor(image: string, ...names: Name[]) {
    this.object = BpfObject.open(image);
    for (const other of this.object.programNames)
      this.object.setAutoload(
        other,
        names.some((name) => other === `on_${name}`),
      );
    // libbpf before 1.3 does not know the section.
    if (names.includes('uprobe_multi'))
      this.object.setType('on_uprobe_multi', ProgramType.KPROBE, AttachType.TRACE_UPROBE_MULTI);
    this.object.setConstants({ tgid: process.pid, with_cookies: kernelIsAtLeast('5.15') });
    this.object.load();
  }

  program(name: Name): BpfProgram {
    return this.object.program(`on_${name}`);
  }

  #read(map: string, name: Name): bigint {
    using it = this.object.map(map);
    return Buffer.from(it.get(u32(NAMES.indexOf(name)))!).readBigUInt64LE();
  }

  /** How often a program ran while `action` did. */
  during(name: Name, action: () => unknown): number {
    const before = this.#read('hits', name);
    action();
    return Number(this.#read('hits', name) - before);
  }

  /** The cookie that the program saw at last. */
  cookie(name: Name): bigint {
    return this.#read('cookies', name);
  }

  [Symbol.dispose](): void {
    this.object.close();
  }
}

/** The result, or why this machine cannot. */
export function orUnsupported<T>(action: () => T): T | string {
  try {
    return action();
  } catch (error) {
    if (error instanceof NotSupportedError || error instanceof OldLibraryError) return error.message;
    throw error;
  }
}

/** Attaches, or skips with the reason; sees the action, and nothing of it afterwards. */
export async function sees(
  t: Test,
  image: string,
  name: Name,
  attach: (program: BpfProgram) => Link,
  action: () => unknown,
  least = 1,
): Promise<void> {
  const loaded = orUnsupported(() => new Kinds(image, name));
  if (typeof loaded === 'string') return void t.pass('loads', { skip: loaded });
  using it = loaded;
  using program = it.program(name);
  t.equal(it.during(name, action), 0, 'not attached yet');
  const link = orUnsupported(() => attach(program));
  if (typeof link === 'string') return void t.pass('attaches', { skip: link });
  t.ok(it.during(name, action) >= least, 'it sees it');
  if (it.cookie(name) !== 0n) t.equal(it.cookie(name), COOKIE, 'with its cookie');
  link.close();
  t.equal(it.during(name, action), 0, 'close() ends it');
}
