// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

import { attachMap, requireAttachBySection } from './attach';
import { Btf } from './btf';
import { text, uint32 } from './border';
import { type ConstantValue, encodeConstant } from './constants';
import { check, errnoWords, UnknownNameError, UnreadableObjectError, UsageError } from './errors';
import { closeLeftObjects, forgetObject, noteObject } from './left-objects';
import type { Link } from './link';
import { BpfMap } from './map';
import { type Address, callOnThread, copyMemory, libc, viewMemory } from './native/ffi';
import { calling, type Libbpf, libbpf } from './native/libbpf';
import { markMessages, messagesSince } from './native/messages';
import { withoutSignals } from './native/signals';
import { type MapSettings, openOptions, type OpenObjectOptions } from './object-options';
import { BpfProgram, setOrigin } from './program';
import { reasonOf } from './reasons';
import { checkObject } from './sanity';
import { loadError, LogBuffer } from './verifier';

type State = 'open' | 'loading' | 'loaded' | 'failed' | 'closed';

/** A load under way. */
interface Loading extends Disposable {
  readonly programs: readonly (readonly [name: string, handle: Address])[];
  readonly logs: LogBuffer;
}

/**
 * A BPF object file: opened, configured, and loaded into the kernel once.
 *
 * The object is libbpf's state for loading; the maps and programs that it returns own descriptors of their own and
 * outlive it. Minimum kernel: what the programs need.
 */
export class BpfObject implements Disposable {
  readonly name: string;
  readonly #handle: Address;
  readonly #maps = new Map<string, Address>();
  readonly #programs = new Map<string, Address>();
  #btf: Btf | undefined;
  #state: State = 'open';

  private constructor(handle: Address, name: string) {
    this.#handle = handle;
    this.name = name;
    noteObject(handle);
    for (let map = 0; (map = libbpf.bpf_object__next_map(handle, map)) !== 0;) {
      this.#maps.set(libbpf.bpf_map__name(map), map);
    }
    for (let program = 0; (program = libbpf.bpf_object__next_program(handle, program)) !== 0;) {
      this.#programs.set(libbpf.bpf_program__name(program), program);
    }
  }

  /**
   * Opens an object file without touching the kernel.
   *
   * @param source path of an ELF file made by `clang -target bpf -g`, or its bytes (not needed afterwards)
   * @throws UnreadableObjectError (`BPF_OBJECT`) if it is missing or not a BPF object; LibraryError without libbpf
   */
  static open(source: string | Uint8Array, options: OpenObjectOptions = {}): BpfObject {
    const what = typeof source === 'string' ? source : (options.name ?? 'BPF object');
    const name = options.name ?? (typeof source === 'string' ? basename(source).split('.')[0]! : 'object');
    text('open object', 'name', name);
    const image = typeof source === 'string' ? readObject(text('open object', 'path', source)) : source;
    if (!(image instanceof Uint8Array)) throw new UsageError('open object', 'the source is no path and no Uint8Array');
    checkObject(image, what);
    const opts = openOptions(name, options);
    const opened = calling((library) => library.bpf_object__open_mem(image, image.length, opts.bytes));
    if (opened.result === 0) {
      const { errno, messages } = opened;
      const reason = reasonOf(messages);
      const why = `not a usable BPF object: ${errnoWords(errno)}${reason === undefined ? '' : `: ${reason}`}`;
      throw new UnreadableObjectError(what, why, { errno, messages });
    }
    closeLeftObjects();
    return new BpfObject(opened.result, name);
  }

  /** The object's own types. Throws `BPF_OBJECT` if it was compiled without -g. */
  get btf(): Btf {
    this.#requireState('btf', 'open', 'loaded', 'failed');
    if (!this.#btf) {
      const btf = libbpf.bpf_object__btf(this.#handle);
      const size = new Uint32Array(1);
      const data = btf === 0 ? 0 : libbpf.btf__raw_data(btf, size);
      if (data === 0) throw new UnreadableObjectError(this.name, 'has no BTF; compile it with -g');
      this.#btf = new Btf(copyMemory(data, size[0]!), this.name);
    }
    return this.#btf;
  }

  /** Names of all maps; those of global variables are named `NAME.rodata`, `NAME.bss` and so on. */
  get mapNames(): string[] {
    return [...this.#maps.keys()];
  }

  get programNames(): string[] {
    return [...this.#programs.keys()];
  }

  /** Whether load() has succeeded. */
  get loaded(): boolean {
    return this.#state === 'loaded';
  }

  /** The name of the map that holds the global variables of a section, such as `.bss`; undefined if there is none. */
  sectionMap(section: string): string | undefined {
    // libbpf names the map of `.bss` "NAME.bss" with NAME cut, and that of `.bss.x` by its full name.
    const plain = section.lastIndexOf('.') === 0;
    return this.mapNames.find((name) => name === section || (plain && name.endsWith(section)));
  }

  /** What a map will hold after load(): a view of libbpf's memory, which must not be used once the object is closed. */
  initialValue(map: string): Uint8Array {
    this.#requireState('initialValue', 'open');
    const size = new BigUint64Array(1);
    const memory = libbpf.bpf_map__initial_value(this.#find('map', map), size);
    if (memory === 0) throw new UsageError(`initial value of ${map}`, 'it is not a map of global variables');
    return new Uint8Array(viewMemory(memory, Number(size[0])));
  }

  /**
   * Sets `const volatile` global variables (integers, enums, bool, and arrays of these, from their first element on)
   * before load(); the verifier then treats them as known and removes dead branches.
   *
   * @throws UnknownNameError for a name that is not such a variable; ConstantError (`BPF_CONSTANT`) for a value that
   * does
   *   not fit; nothing is set in either case
   */
  setConstants(values: Readonly<Record<string, ConstantValue>>): void {
    this.#requireState('setConstants', 'open');
    const writes = Object.entries(values).map(([name, value]) => {
      const variable = this.#constants().get(name);
      if (!variable) throw new UnknownNameError('constant', name, [...this.#constants().keys()]);
      const bytes = encodeConstant(name, this.btf, variable.type, value);
      return { ...variable, bytes };
    });
    for (const { section, offset, bytes } of writes) {
      const size = new BigUint64Array(1);
      const memory = libbpf.bpf_map__initial_value(section, size);
      if (memory === 0 || offset + bytes.length > Number(size[0])) {
        throw new UnreadableObjectError(this.name, 'its BTF does not agree with its data section');
      }
      new Uint8Array(viewMemory(memory, Number(size[0]))).set(bytes, offset);
    }
  }

  /**
   * Changes the size of a map before load(): entries, or bytes for a ring buffer, which libbpf rounds up to a power of
   * two of whole pages (read the result from {@link BpfMap.maxEntries}).
   */
  setMaxEntries(map: string, entries: number): void {
    this.#requireState('setMaxEntries', 'open');
    uint32('setMaxEntries', 'entries', entries);
    const handle = this.#find('map', map);
    checkCall(`bpf_map__set_max_entries(${map})`, (library) => library.bpf_map__set_max_entries(handle, entries));
  }

  /** Changes what a map is before load(); what is not given stays. */
  setMap(map: string, settings: MapSettings): void {
    this.#requireState('setMap', 'open');
    const handle = this.#find('map', map);
    const { type, keySize, valueSize, maxEntries, flags } = settings;
    const set = (name: string, value: number | undefined, call: (library: Libbpf, value: number) => number): void => {
      if (value === undefined) return;
      uint32('setMap', name, value);
      checkCall(`set ${name} of map ${map}`, (library) => call(library, value));
    };
    set('type', type, (library, value) => library.bpf_map__set_type(handle, value));
    set('keySize', keySize, (library, value) => library.bpf_map__set_key_size(handle, value));
    set('valueSize', valueSize, (library, value) => library.bpf_map__set_value_size(handle, value));
    set('maxEntries', maxEntries, (library, value) => library.bpf_map__set_max_entries(handle, value));
    set('flags', flags, (library, value) => library.bpf_map__set_map_flags(handle, value));
  }

  /** Chooses before load() whether a program is loaded at all. */
  setAutoload(program: string, on: boolean): void {
    this.#requireState('setAutoload', 'open');
    const handle = this.#find('program', program);
    checkCall(`bpf_program__set_autoload(${program})`, (library) => library.bpf_program__set_autoload(handle, on));
  }

  /** Whether load() loads a program, or has. */
  autoload(program: string): boolean {
    return libbpf.bpf_program__autoload(this.#find('program', program));
  }

  /**
   * Says before load() of which type a program is, for a section that the installed libbpf does not know.
   *
   * @param type {@link ProgramType}
   * @param attachType {@link AttachType}, for types that have one
   */
  setType(program: string, type: number, attachType?: number): void {
    this.#requireState('setType', 'open');
    const handle = this.#find('program', program);
    uint32('setType', 'type', type);
    checkCall(`bpf_program__set_type(${program})`, (library) => library.bpf_program__set_type(handle, type));
    if (attachType === undefined) return;
    uint32('setType', 'attachType', attachType);
    checkCall(`bpf_program__set_expected_attach_type(${program})`, (library) =>
      library.bpf_program__set_expected_attach_type(handle, attachType),
    );
  }

  /**
   * Says before load() to which function a program belongs: a kernel function (`fentry` and its like), or, with
   * `program`, a global function of a program that is loaded (`freplace`, and `fentry` of BPF programs).
   */
  setAttachTarget(program: string, target: { readonly function: string; readonly program?: BpfProgram }): void {
    this.#requireState('setAttachTarget', 'open');
    const handle = this.#find('program', program);
    const name = text('setAttachTarget', 'function', target.function);
    checkCall(`bpf_program__set_attach_target(${program})`, (library) =>
      library.bpf_program__set_attach_target(handle, target.program?.fd ?? 0, name),
    );
  }

  /** Makes load() use an existing map in place of `name`; `map` stays the caller's. */
  reuseMap(name: string, map: BpfMap): void {
    this.#requireState('reuseMap', 'open');
    const handle = this.#find('map', name);
    checkCall(`bpf_map__reuse_fd(${name})`, (library) => library.bpf_map__reuse_fd(handle, map.fd));
  }

  /**
   * Creates the maps and loads the programs, once.
   *
   * @throws VerifierError with the whole log if the verifier refuses a program; NotSupportedError if the kernel does
   *   not support programs on trampolines; otherwise BpfError with the reason that libbpf gives, code `BPF_PERMISSION`
   *   if a capability is missing, `BPF_INTERRUPTED` if signals have interrupted it
   */
  load(): void {
    using loading = this.#loading();
    const { result, messages } = withoutSignals(() => calling((library) => library.bpf_object__load(this.#handle)));
    this.#finishLoad(loading, result, messages);
  }

  /**
   * load() on another thread: reading the kernel's types and verifying take a tenth of a second or more. The object
   * must not be used until it is done.
   */
  async loadAsync(): Promise<void> {
    using loading = this.#loading();
    this.#state = 'loading';
    const mark = markMessages();
    const result = await callOnThread(libbpf.bpf_object__load, this.#handle);
    const messages = messagesSince(mark, 'another thread');
    // libbpf has read the kernel's types into 10 MB, which each thread of the pool would keep in its malloc arena.
    void callOnThread(libc.malloc_trim, 0);
    this.#finishLoad(loading, result, messages);
  }

  /** Gives each program that will be loaded a buffer for the verifier's log. */
  #loading(): Loading {
    this.#requireState('load', 'open');
    const programs = [...this.#programs].filter(([, handle]) => libbpf.bpf_program__autoload(handle));
    const logs = new LogBuffer(programs.length);
    // libbpf loads with log level 0, and loads a refused program again with level 1 into the program's buffer.
    programs.forEach(([, handle], i) => libbpf.bpf_program__set_log_buf(handle, logs.address(i), logs.size));
    return { programs, logs, [Symbol.dispose]: () => logs[Symbol.dispose]() };
  }

  #finishLoad({ programs, logs }: Loading, result: number, messages: readonly string[]): void {
    for (const [, handle] of programs) libbpf.bpf_program__set_log_buf(handle, 0, 0);
    this.#state = result === 0 ? 'loaded' : 'failed';
    if (result !== 0)
      throw loadError({ object: this.name, programs, maps: this.#maps, logs, errno: -result, messages });
  }

  /**
   * A new handle for a map of the loaded object, which the caller closes; it outlives the object.
   *
   * @param name as in the source, or the section of global variables: `.bss`, `.data`, `.rodata`
   */
  map(name: string): BpfMap {
    const handle = this.#find('map', name);
    this.#requireState(`map ${name}`, 'loaded');
    return BpfMap.fromFd(libbpf.bpf_map__fd(handle), name);
  }

  /** A new handle for a program of the loaded object, which the caller closes; it outlives the object. */
  program(name: string): BpfProgram {
    const handle = this.#find('program', name);
    this.#requireState(`program ${name}`, 'loaded');
    const fd = libbpf.bpf_program__fd(handle);
    if (fd < 0) throw new UsageError(`program ${name}`, 'was not loaded: autoload is off');
    const program = BpfProgram.fromFd(fd, name);
    setOrigin(program, { handle: () => this.#find('program', name), attach: () => requireAttachBySection(program) });
    return program;
  }

  /**
   * Makes a struct_ops map of the loaded object, such as a congestion control, known to the kernel (Linux 5.6; a map of
   * the section `.struct_ops.link` 6.4). It is unknown again when the link is closed.
   */
  attachStructOps(map: string): Link {
    const handle = this.#find('map', map);
    this.#requireState(`attach ${map}`, 'loaded');
    return attachMap(map, handle);
  }

  /**
   * Frees what load() needed. Maps and programs that were returned stay. Throws UsageError while loadAsync() is in
   * progress.
   */
  close(): void {
    if (this.#state === 'closed') return;
    this.#requireState('close', 'open', 'loaded', 'failed');
    this.#state = 'closed';
    forgetObject(this.#handle);
    libbpf.bpf_object__close(this.#handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** `const volatile` variables by name. */
  #constants(): Map<string, { section: Address; offset: number; type: number }> {
    const found = new Map<string, { section: Address; offset: number; type: number }>();
    for (const section of this.btf.sections) {
      if (section !== '.rodata' && !section.startsWith('.rodata.')) continue;
      const map = this.sectionMap(section);
      if (map === undefined) continue;
      for (const { name, offset, type } of this.btf.datasec(section))
        found.set(name, { section: this.#find('map', map), offset, type });
    }
    return found;
  }

  #find(kind: 'map' | 'program', name: string): Address {
    this.#requireState(`${kind} ${name}`, 'open', 'loaded', 'failed');
    const all = kind === 'map' ? this.#maps : this.#programs;
    const handle = all.get((kind === 'map' && name.startsWith('.') && this.sectionMap(name)) || name);
    if (handle === undefined) throw new UnknownNameError(kind, name, [...all.keys()]);
    return handle;
  }

  #requireState(operation: string, ...states: State[]): void {
    if (states.includes(this.#state)) return;
    const why = {
      open: 'is not loaded yet',
      loading: 'is being loaded',
      loaded: 'is loaded already',
      failed: 'failed to load',
      closed: 'is closed',
    };
    throw new UsageError(operation, `the object ${this.name} ${why[this.#state]}`);
  }
}

/** Calls libbpf, and throws what it printed if it fails. */
function checkCall(operation: string, call: (library: Libbpf) => number): void {
  const { result, messages } = calling(call);
  check(result, operation, [], messages);
}

function readObject(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UnreadableObjectError(path, why, { cause, operation: 'read' });
  }
}
