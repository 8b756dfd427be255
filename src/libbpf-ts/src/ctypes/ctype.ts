// SPDX-License-Identifier: MIT
import { BpfError } from '../errors';

/**
 * What may be given for a value of type T: fields that are left out are zero, as in a C initializer; a number stands
 * for a bigint, and a string or numbers for bytes.
 */
export type Input<T> = T extends bigint
  ? bigint | number
  : T extends Uint8Array
    ? Uint8Array | string | readonly number[]
    : T extends readonly (infer Element)[]
      ? readonly Input<Element>[]
      : T extends object
        ? { readonly [Field in keyof T]?: Input<T[Field]> | undefined }
        : T;

/** Reports a value that its C type cannot hold, or bytes that are too few for it; code `BPF_VALUE`. */
export class ValueError extends BpfError {
  override readonly name = 'ValueError';

  /**
   * @param what the type, and the place in it
   * @param why what is wrong with the value
   */
  constructor(
    what: string,
    readonly why: string,
  ) {
    super(`${what}: ${why}`, { code: 'BPF_VALUE', operation: 'convert value' });
  }
}

/** Why a value does not fit, and where in it. CType.encode() makes a ValueError of it. */
export class Misfit extends Error {
  /** For example `.pairs[3].first`. */
  path = '';
}

/** Adds a step to the path of a Misfit; other errors pass. */
export function within(step: string, error: unknown): unknown {
  if (error instanceof Misfit) error.path = step + error.path;
  return error;
}

/**
 * A C type: converts values between memory and JavaScript. Integers of up to 32 bits are numbers, larger ones and
 * pointers bigints, arrays of bytes Uint8Arrays, structs and unions objects with a property for each field.
 *
 * A union has all its fields when it is read. To be written it needs one of them; several must agree.
 */
export abstract class CType<T> {
  /** Whether each sequence of bytes has a value of its own; not so for bool and floating-point numbers. */
  readonly exact: boolean = true;
  /** Whether a value may be longer than {@link size}: it ends with a flexible array. */
  readonly flexible: boolean = false;
  /** Whether a value consists of others; one that does not is written with one store. */
  readonly composite: boolean = false;

  /**
   * @param name in C, for messages
   * @param size bytes, as sizeof gives them
   */
  constructor(
    readonly name: string,
    readonly size: number,
  ) {}

  /** @internal The value at an offset; `end` is where the memory of a flexible array ends. */
  abstract read(memory: DataView, at: number, end: number): T;

  /** @internal Writes fields and elements, not the padding between them. Throws Misfit. */
  abstract write(memory: DataView, at: number, value: unknown): void;

  /** @internal Bytes that a value occupies. */
  sizeFor(_value: unknown): number {
    return this.size;
  }

  /** The value that bytes hold. Throws ValueError if they are too few. */
  decode(bytes: Uint8Array): T {
    if (bytes.length < this.size)
      throw new ValueError(this.name, `${bytes.length} bytes are too few: it has ${this.size}`);
    return this.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
  }

  /**
   * The bytes of a value.
   *
   * @param size bytes to make, zeroes at the end; defaults to what the value needs
   * @throws ValueError (`BPF_VALUE`) for a number out of range, an array that is too long, an unknown field
   */
  encode(value: Input<T>, size?: number): Uint8Array {
    return this.#bytesOf(value, size, this.name);
  }

  /**
   * Writes a value to memory that others read: an integer with one store, anything else once all of it is known to fit.
   *
   * @param what the place, for messages
   * @throws ValueError; then nothing is written
   */
  assign(memory: DataView, at: number, value: Input<T>, what: string): void {
    if (this.composite) {
      const bytes = this.#bytesOf(value, this.size, what);
      new Uint8Array(memory.buffer, memory.byteOffset + at, this.size).set(bytes);
      return;
    }
    try {
      this.write(memory, at, value);
    } catch (error) {
      throw asValueError(error, what);
    }
  }

  #bytesOf(value: Input<T>, size: number | undefined, what: string): Uint8Array {
    try {
      const needed = this.sizeFor(value);
      if (size !== undefined && needed > size) throw new Misfit(`needs ${needed} bytes, there are ${size}`);
      const bytes = new Uint8Array(size ?? needed);
      this.write(new DataView(bytes.buffer), 0, value);
      return bytes;
    } catch (error) {
      throw asValueError(error, what);
    }
  }
}

const asValueError = (error: unknown, what: string): unknown =>
  error instanceof Misfit ? new ValueError(what + error.path, error.message) : error;
