// SPDX-License-Identifier: MIT
/** What can be said about an object before it is loaded. */
import { text } from './border';
import { CStruct } from './native/ffi';

export interface OpenObjectOptions {
  /** Prefix of the names of internal maps such as `NAME.rodata`; defaults to the file's name up to the first dot. */
  readonly name?: string;
  /** Directory on a bpffs for maps with `__uint(pinning, LIBBPF_PIN_BY_NAME)`; /sys/fs/bpf unless given. */
  readonly pinRoot?: string;
  /** A file with the kernel's types, where the kernel has none of its own (CONFIG_DEBUG_INFO_BTF). */
  readonly kernelBtf?: string;
  /** Values of `extern ... __kconfig` variables, in the syntax of a kernel configuration, one a line. */
  readonly kconfig?: string;
}

/** What a map is to be, for {@link BpfObject.setMap}. */
export interface MapSettings {
  /** {@link MapType} */
  readonly type?: number;
  /** Bytes. */
  readonly keySize?: number;
  /** Bytes. */
  readonly valueSize?: number;
  /** Entries; bytes for a ring buffer. */
  readonly maxEntries?: number;
  /** {@link MapFlag} */
  readonly flags?: number;
}

/** bpf_object_open_opts: object_name, pin_root_path, kconfig, btf_custom_path */
export function openOptions(name: string, { pinRoot, kconfig, kernelBtf }: OpenObjectOptions): CStruct {
  const opts = new CStruct(80, true).setPointer(8, name);
  if (pinRoot !== undefined) opts.setPointer(24, text('open object', 'pinRoot', pinRoot));
  if (kconfig !== undefined) opts.setPointer(40, text('open object', 'kconfig', kconfig));
  if (kernelBtf !== undefined) opts.setPointer(48, text('open object', 'kernelBtf', kernelBtf));
  return opts;
}
