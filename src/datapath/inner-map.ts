// SPDX-License-Identifier: MIT
/** Maps in a map: an entry is written as the descriptor of the inner map. */
import type { BpfMap } from 'libbpf-ts';

/** A key or a value of four bytes. */
export const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);

/** Both maps stay the caller's; the outer one holds the inner one from then on. */
export const setInner = (outer: BpfMap, index: number, inner: BpfMap): void => outer.set(u32(index), u32(inner.fd));
