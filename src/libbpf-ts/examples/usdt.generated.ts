// SPDX-License-Identifier: MIT
// Made by libbpf-ts from the BTF of usdt.bpf.o; do not edit.
/* eslint-disable */
import { BpfObject, ctypes as c, type CType, type Input, type OpenObjectOptions, Skeleton } from 'libbpf-ts';

/** enum __bpf_usdt_arg_type, 4 bytes. */
export type __bpf_usdt_arg_type = number;
export const __bpf_usdt_arg_type = {
  BPF_USDT_ARG_CONST: 0,
  BPF_USDT_ARG_REG: 1,
  BPF_USDT_ARG_REG_DEREF: 2,
} as const;

/** struct __bpf_usdt_arg_spec, 16 bytes. */
export interface __bpf_usdt_arg_spec {
  /** offset 0, 8 bytes */
  readonly val_off: bigint;
  /** offset 8, 4 bytes */
  readonly arg_type: __bpf_usdt_arg_type;
  /** offset 12, 2 bytes */
  readonly reg_off: number;
  /** offset 14, 1 bytes */
  readonly arg_signed: boolean;
  /** offset 15, 1 bytes */
  readonly arg_bitshift: number;
}
export const __bpf_usdt_arg_spec: CType<__bpf_usdt_arg_spec> = c.struct('struct __bpf_usdt_arg_spec', 16, [
  ['val_off', 0, c.u64],
  ['arg_type', 8, c.u32],
  ['reg_off', 12, c.s16],
  ['arg_signed', 14, c.bool],
  ['arg_bitshift', 15, c.s8],
]);

/** struct __bpf_usdt_spec, 208 bytes. */
export interface __bpf_usdt_spec {
  /** offset 0, 192 bytes */
  readonly args: readonly __bpf_usdt_arg_spec[];
  /** offset 192, 8 bytes */
  readonly usdt_cookie: bigint;
  /** offset 200, 2 bytes */
  readonly arg_cnt: number;
}
export const __bpf_usdt_spec: CType<__bpf_usdt_spec> = c.struct('struct __bpf_usdt_spec', 208, [
  ['args', 0, c.array(__bpf_usdt_arg_spec, 12)],
  ['usdt_cookie', 192, c.u64],
  ['arg_cnt', 200, c.s16],
]);

/** struct firing, 48 bytes. */
export interface firing {
  /** offset 0, 4 bytes */
  readonly pid: number;
  /** offset 4, 4 bytes */
  readonly argument_count: number;
  /** offset 8, 24 bytes */
  readonly arguments: readonly bigint[];
  /** offset 32, 16 bytes */
  readonly comm: Uint8Array;
}
export const firing: CType<firing> = c.struct('struct firing', 48, [
  ['pid', 0, c.u32],
  ['argument_count', 4, c.u32],
  ['arguments', 8, c.array(c.s64, 3)],
  ['comm', 32, c.bytes(16)],
]);

/** Global variables in .kconfig. */
export interface kconfig {
  /** offset 0, 1 bytes */
  get LINUX_HAS_BPF_COOKIE(): boolean;
  set LINUX_HAS_BPF_COOKIE(value: Input<boolean>);
}
export const kconfig: CType<kconfig> = c.struct('.kconfig', 1, [
  ['LINUX_HAS_BPF_COOKIE', 0, c.bool],
]);

/** Programs, maps and global variables of usdt.bpf.o. */
export class Usdt extends Skeleton<'on_probe'> {
  /**
   * Opens the object. Nothing is in the kernel before load().
   *
   * @param source path of the object file, or its bytes
   * @throws UnreadableObjectError, LibraryError
   */
  static open(source: string | Uint8Array, options?: OpenObjectOptions): Usdt {
    return new Usdt(BpfObject.open(source, { name: 'usdt', ...options }));
  }

  readonly maps = {
    __bpf_usdt_specs: this.map('__bpf_usdt_specs', c.s32, __bpf_usdt_spec),
    firings: this.ringBuffer('firings', firing),
    __bpf_usdt_ip_to_spec_id: this.map('__bpf_usdt_ip_to_spec_id', c.s64, c.u32),
  };

  /** Global variables in .kconfig. */
  readonly kconfig = this.globals('.kconfig', kconfig);

  private constructor(object: BpfObject) {
    super(object, ['on_probe']);
  }
}
