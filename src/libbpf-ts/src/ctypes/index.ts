// SPDX-License-Identifier: MIT
/** C types as generated code names them: `ctypes.u32`, `ctypes.struct(...)`. */
export { array, bytes, flexible, rawBytes, struct } from './compound';
export type { Field } from './compound';
export { bits, bool, f32, f64, pointer, s128, s16, s32, s64, s8, u128, u16, u32, u64, u8 } from './scalar';
