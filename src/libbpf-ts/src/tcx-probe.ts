// SPDX-License-Identifier: MIT
import { AttachType } from './constants';
import { Errno } from './errno';
import { libbpf } from './native/libbpf';

let known: boolean | undefined;

/**
 * Whether the kernel has TCX (Linux 6.6); undefined if that cannot be told, for example for want of a privilege.
 *
 * It queries a device that cannot exist: with TCX that is ENODEV, without it the attach type is EINVAL
 * (kernel/bpf/syscall.c, bpf_prog_query).
 */
export function probeTcx(): boolean | undefined {
  if (known !== undefined) return known;
  const count = new Uint32Array([0]);
  const error = -libbpf.bpf_prog_query(0x7fffffff, AttachType.TCX_INGRESS, 0, null, null, count);
  if (error === Errno.ENODEV) known = true;
  else if (error === Errno.EINVAL) known = false;
  return known;
}
