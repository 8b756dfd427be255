// SPDX-License-Identifier: MIT
import type { Compound } from './ctypes/compound';
import { UsageError } from './errors';
import type { BpfMap } from './map';
import type { MappedMemory } from './mmap';
import type { BpfObject } from './object';
import { MapFlag } from './uapi';

/** Sections that nobody can change once the object is loaded. */
const CONSTANT = /^\.(rodata|kconfig)(\.|$)/;
const KEY = new Uint8Array(4);

/**
 * The memory of a section of global variables: before load() what libbpf will put into the map, then the map itself,
 * mapped where the kernel can (Linux 5.5), else read and written with a system call for each access.
 */
class SectionMemory {
  readonly constant: boolean;
  #mapping: MappedMemory | undefined;
  #view: DataView | undefined;
  #closed = false;

  /**
   * @param name of the section's map
   * @param map the map, once the object is loaded; it stays the caller's
   */
  constructor(
    readonly object: BpfObject,
    readonly section: string,
    readonly name: string,
    readonly map: () => BpfMap,
  ) {
    this.constant = CONSTANT.test(section);
  }

  read<T>(get: (memory: DataView) => T): T {
    return get(this.#mapped() ?? viewOf(this.map().get(KEY) ?? new Uint8Array(0)));
  }

  write(set: (memory: DataView) => void): void {
    if (this.constant && this.object.loaded)
      throw new UsageError(`set a variable in ${this.section}`, 'it is constant once the object is loaded');
    const memory = this.#mapped();
    if (memory) return set(memory);
    const bytes = this.map().get(KEY) ?? new Uint8Array(0);
    set(viewOf(bytes));
    this.map().set(KEY, bytes);
  }

  close(): void {
    this.#closed = true;
    this.#view = undefined;
    this.#mapping?.close();
  }

  /** Undefined if the kernel cannot map the section. */
  #mapped(): DataView | undefined {
    if (this.#view) return this.#view;
    if (this.#closed) throw new UsageError(`variables in ${this.section}`, 'the object is closed');
    if (!this.object.loaded) return viewOf(this.object.initialValue(this.name));
    const map = this.map();
    if ((map.flags & MapFlag.MMAPABLE) === 0) return undefined;
    this.#mapping = map.mmap({ writable: !this.constant });
    return (this.#view = new DataView(this.#mapping.buffer));
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * The variables of a section as properties. Reading one copies its value out, setting one writes it at once; neither is
 * atomic for values of more than 8 bytes.
 *
 * @param name of the section's map
 * @param map the map, once the object is loaded
 * @param type the section as a struct
 */
export function globalsOf<T>(
  object: BpfObject,
  section: string,
  name: string,
  map: () => BpfMap,
  type: Compound<T>,
): { variables: T; close: () => void } {
  const memory = new SectionMemory(object, section, name, map);
  const variables: object = {};
  for (const { name: variable, offset, type: field } of type.fields) {
    Object.defineProperty(variables, variable, {
      enumerable: true,
      get: (): unknown => memory.read((view) => field.read(view, offset, offset + field.size)),
      set: (value: unknown) => memory.write((view) => field.assign(view, offset, value, `${section}: ${variable}`)),
    });
  }
  return { variables: Object.seal(variables) as T, close: () => memory.close() };
}
