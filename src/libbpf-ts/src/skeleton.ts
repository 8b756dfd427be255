// SPDX-License-Identifier: MIT
import { attachBySection } from './attach';
import { Compound } from './ctypes/compound';
import type { CType } from './ctypes/ctype';
import { UsageError } from './errors';
import { globalsOf } from './globals';
import type { Link, TcLink } from './link';
import type { BpfMap } from './map';
import type { BpfObject } from './object';
import type { BpfProgram } from './program';
import { PerCpuMap, TypedMap } from './typed-map';
import { TypedRing } from './typed-ring';

/** The object file in a generated module, which has it as base64. */
export function embeddedObject(text: string): Uint8Array {
  return Buffer.from(text, 'base64');
}

/**
 * Base of the classes that `libbpf-ts generate` writes: an object with its programs, maps and global variables by name.
 * It owns all of them: close() ends the attachments in {@link links}, and what the kernel holds for nobody else.
 */
export abstract class Skeleton<Program extends string = string> implements Disposable {
  /** The object, for what has to be set before load(): sizes of maps, maps to be reused, programs to be left out. */
  readonly object: BpfObject;
  /** The programs, once the object is loaded. */
  readonly programs: { readonly [Name in Program]: BpfProgram };
  /** Attachments by program. attach() adds to them; what you add is closed as well. */
  readonly links: { [Name in Program]?: Link | TcLink } = {};
  readonly #names: readonly Program[];
  /** Closed in the order in which they are here. */
  readonly #owned: { close(): void }[] = [];

  protected constructor(object: BpfObject, programs: readonly Program[]) {
    this.object = object;
    this.#names = programs;
    const lazy: object = {};
    for (const name of programs) {
      const program = this.#once(() => object.program(name));
      Object.defineProperty(lazy, name, { enumerable: true, get: program });
    }
    this.programs = lazy as { readonly [Name in Program]: BpfProgram };
  }

  /** Creates the maps and loads the programs, as {@link BpfObject.load}. */
  load(): void {
    this.object.load();
  }

  /** load() on another thread. */
  loadAsync(): Promise<void> {
    return this.object.loadAsync();
  }

  /**
   * Attaches each program whose section says to what, as libbpf's skeletons do, unless {@link links} has it already.
   * Others, such as XDP and TC programs, are left to attachXdp(), attachTc() and so on.
   *
   * @throws BpfError of the first that cannot be attached; those before it stay attached
   */
  attach(): void {
    for (const name of this.#names) {
      if (this.links[name] || !this.object.autoload(name)) continue;
      const link = attachBySection(this.programs[name]);
      if (link) this.links[name] = link;
    }
  }

  close(): void {
    for (const name of this.#names) {
      this.links[name]?.close();
      delete this.links[name];
    }
    for (const each of this.#owned.splice(0)) each.close();
    this.object.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** For generated code: a map with typed keys and values. */
  protected map<K, V>(name: string, key: CType<K>, value: CType<V>): TypedMap<K, V> {
    return new TypedMap(this.#map(name), key, value);
  }

  /** For generated code: a map with a value for each CPU. */
  protected perCpuMap<K, V>(name: string, key: CType<K>, value: CType<V>): PerCpuMap<K, V> {
    return new PerCpuMap(this.#map(name), key, value);
  }

  /** For generated code: a ring buffer. */
  protected ringBuffer<T>(name: string, record: CType<T>): TypedRing<T> {
    // libbpf takes the size of records that the map names for that of values, which the kernel refuses.
    this.object.setMap(name, { valueSize: 0 });
    const ring = new TypedRing(this.#map(name), record);
    this.#owned.unshift(ring);
    return ring;
  }

  /** For generated code: the variables of a section. */
  protected globals<T>(section: string, type: CType<T>): T {
    const name = this.object.sectionMap(section);
    if (name === undefined || !(type instanceof Compound))
      throw new UsageError(
        `variables in ${section}`,
        'this is another object than the one that the code was made from',
      );
    const { variables, close } = globalsOf(this.object, section, name, this.#map(name), type as Compound<T>);
    this.#owned.unshift({ close });
    return variables;
  }

  #map(name: string): () => BpfMap {
    return this.#once(() => this.object.map(name));
  }

  /** What is made when it is first asked for, and closed with the skeleton. */
  #once<T extends { close(): void }>(make: () => T): () => T {
    let made: T | undefined;
    return () => {
      if (!made) this.#owned.push((made = make()));
      return made;
    };
  }
}
