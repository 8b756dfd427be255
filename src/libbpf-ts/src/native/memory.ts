// SPDX-License-Identifier: MIT
import { koffi } from './koffi';
import type { Address } from './libc';

/**
 * Zeroed bytes whose address may be stored inside another C structure.
 *
 * V8 keeps small typed arrays on its moving heap; one over an ArrayBuffer of its own is never moved.
 */
export function stableBytes(length: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(Math.max(length, 1)), 0, length);
}

/** A copy of `bytes` at a stable address. */
export function stableCopy(bytes: Uint8Array): Uint8Array {
  const copy = stableBytes(bytes.length);
  copy.set(bytes);
  return copy;
}

/** A NUL-terminated UTF-8 string at a stable address. */
export function stableString(text: string): Uint8Array {
  return stableCopy(Buffer.from(`${text}\0`, 'utf8'));
}

/** Address of the first byte; valid only as long as the caller keeps `bytes` reachable. */
export function addressOf(bytes: Uint8Array): Address {
  return Number(koffi.address(bytes));
}

/** A view of foreign memory. The buffer does not own it: nothing is freed when it is collected. */
export function viewMemory(address: Address, length: number): ArrayBuffer {
  return koffi.view(address, length);
}

/** Copies bytes out of foreign memory. */
export function copyMemory(address: Address, length: number): Uint8Array {
  return new Uint8Array(viewMemory(address, length)).slice();
}
