// SPDX-License-Identifier: MIT
/** Attachments: TC attachments, whichever way they were made, and Link for every other kind. */
import { dirname } from 'node:path';

import { Errno, NotSupportedError, systemError, UsageError } from './errors';
import { kindOfFd, openPinnedFd, OwnedFd, pinFd, requireBpffs, unpin } from './fd';
import { openFdById } from './ids';
import { type Address, CStruct, libc } from './native/ffi';
import { libbpf } from './native/libbpf';
import { LinkType } from './uapi';

/** The beginning of `struct bpf_link_info`. */
export interface LinkInfo {
  readonly type: number;
  readonly id: number;
  readonly progId: number;
}

/** Reads the kernel's information on a link (Linux 5.8); undefined before. */
function readInfo(fd: number): LinkInfo | undefined {
  const info = new CStruct(64);
  const error = libbpf.bpf_obj_get_info_by_fd(fd, info.bytes, new Uint32Array([64]));
  return error < 0 ? undefined : { type: info.u32(0), id: info.u32(4), progId: info.u32(8) };
}

export interface UpdateOptions {
  /** Replaced only if this program is attached now. */
  readonly expected?: { readonly fd: number };
}

/** BPF_F_REPLACE */
const REPLACE = 1 << 2;

/** BPF_LINK_UPDATE. Throws BpfError. */
export function updateLink(
  link: number,
  program: { readonly fd: number; readonly name: string },
  { expected }: UpdateOptions,
): void {
  // bpf_link_update_opts: flags, old_prog_fd
  const options = new CStruct(24, true);
  if (expected) options.setU32(8, REPLACE).setU32(12, expected.fd);
  const error = libbpf.bpf_link_update(link, program.fd, options.bytes);
  if (error < 0) throw systemError(`update link to ${program.name}`, error, ['CAP_BPF']);
}

/** An attachment that libbpf holds, because more than a link belongs to it: the event of a tracepoint or kprobe. */
class HeldByLibbpf {
  readonly #handle: Address;

  constructor(handle: Address) {
    this.#handle = handle;
  }

  /** Ends the attachment, or leaves everything as it is, which keeps the event's descriptor until the process ends. */
  close(leave: boolean): void {
    if (leave) {
      const fd = libbpf.bpf_link__fd(this.#handle);
      libbpf.bpf_link__disconnect(this.#handle);
      libc.close(fd);
    }
    libbpf.bpf_link__destroy(this.#handle);
  }
}

/**
 * An attachment of a program to something other than TC, made by attachXdp() and similar functions, or opened from a
 * pin.
 *
 * close() ends the attachment unless it is pinned; so does the end of the process. Before Linux 5.15 tracepoints and
 * kprobes are attached without a kernel link: they have no `info` and cannot be pinned.
 */
export class Link implements Disposable {
  /** The kernel's information: `enum bpf_link_type`, the link's number, and the program's number. */
  readonly info: LinkInfo | undefined;
  /** The descriptor of the link, or, with an event, only its number, and libbpf's record. */
  readonly #fd: OwnedFd | number;
  readonly #held: HeldByLibbpf | undefined;
  #closed = false;
  #pinPath: string | undefined;

  private constructor(fd: OwnedFd | number, info: LinkInfo | undefined, held?: HeldByLibbpf, pinPath?: string) {
    this.#fd = fd;
    this.info = info;
    this.#held = held;
    this.#pinPath = pinPath;
  }

  /** @internal Takes ownership of the descriptor of a link. */
  static fromFd(fd: OwnedFd, pinPath?: string): Link {
    return new Link(fd, readInfo(fd.value), undefined, pinPath);
  }

  /** @internal Takes ownership of a `struct bpf_link *`. */
  static fromHandle(handle: Address): Link {
    const fd = libbpf.bpf_link__fd(handle);
    const info = kindOfFd(fd) === 'link' ? readInfo(fd) : undefined;
    if (!info || info.type === LinkType.PERF_EVENT) return new Link(fd, info, new HeldByLibbpf(handle));
    libbpf.bpf_link__disconnect(handle);
    libbpf.bpf_link__destroy(handle);
    return new Link(new OwnedFd(fd, `link ${info.id}`), info);
  }

  /** Opens the link pinned at `path` (Linux 5.8). Throws BpfError, for example ENOENT; `BPF_USAGE` for a map. */
  static openPinned(path: string): Link {
    return Link.fromFd(openPinnedFd(path, 'link'), path);
  }

  /** Opens the link with a number of the kernel (Linux 5.8). Throws BpfError: ENOENT; EPERM without CAP_SYS_ADMIN. */
  static fromId(id: number): Link {
    return Link.fromFd(openFdById('link', id));
  }

  /** Where the link is pinned; undefined if it is not. */
  get pinPath(): string | undefined {
    return this.#pinPath;
  }

  /**
   * Makes the attachment outlive this object and the process, through a new path on a bpffs (Linux 5.7; tracepoints and
   * kprobes 5.15). A link has one pin at most; detach() removes it.
   *
   * @throws NotSupportedError, BpffsError (`BPFFS_MISSING`), BpfError, for example EEXIST
   */
  pin(path: string): void {
    const fd = this.#live('pin link');
    if (this.#pinPath !== undefined) throw new UsageError('pin link', `is pinned already, at ${this.#pinPath}`);
    if (!this.info) throw new NotSupportedError('pinning this attachment', '5.15', { operation: 'bpf_link__pin' });
    requireBpffs(dirname(path));
    pinFd(fd, path);
    this.#pinPath = path;
  }

  /** Owned by this object: do not close it. Throws `BPF_USAGE` after close(). */
  get fd(): number {
    return this.#live('descriptor of a link');
  }

  /**
   * Puts another program of the same type in the place of the attached one, without a moment in between: links of
   * cgroups (Linux 5.7), network namespaces (5.8), XDP (5.9), iterators and netkit.
   *
   * @param options.expected only if this program is attached now; otherwise EPERM
   * @throws BpfError: EINVAL for a kind of link, or a program, with which it cannot be done
   */
  update(program: { readonly fd: number; readonly name: string }, options: UpdateOptions = {}): void {
    updateLink(this.#live('update link'), program, options);
  }

  /**
   * Ends the attachment and removes its pin; does nothing if it is closed.
   *
   * XDP and cgroup links end at once, even if others hold them (Linux 5.9). Other links end with their last holder:
   * with this object, unless another process has opened the same pin; older kernels (5.10) release a removed pin a
   * moment later.
   */
  detach(): void {
    if (this.#closed) return;
    const error = -libbpf.bpf_link_detach(this.#live('detach link'));
    // EOPNOTSUPP: this type cannot be detached; EBADF, EINVAL: there is no kernel link, or the kernel can detach none.
    const harmless: number[] = [Errno.EOPNOTSUPP, Errno.EINVAL, Errno.ENOLINK, Errno.ENODEV, Errno.EBADF];
    if (error > 0 && !harmless.includes(error)) throw systemError('bpf(BPF_LINK_DETACH)', error, ['CAP_BPF']);
    if (this.#pinPath !== undefined) unpin(this.#pinPath);
    this.#pinPath = undefined;
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // libbpf would switch off the event of a tracepoint or kprobe, even if it is pinned.
    this.#held?.close(this.#pinPath !== undefined);
    if (typeof this.#fd !== 'number') this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #live(operation: string): number {
    if (this.#closed) throw new UsageError(operation, 'is closed');
    return typeof this.#fd === 'number' ? this.#fd : this.#fd.value;
  }
}

export type TcDirection = 'ingress' | 'egress';

export interface TcTarget {
  /** Index of the device in the calling thread's network namespace. */
  readonly ifindex: number;
  readonly direction: TcDirection;
}

interface CommonState extends TcTarget {
  /** Id of the attached program. */
  readonly progId: number;
  /** Where the attachment is pinned; absent if it is not. */
  readonly pinPath?: string;
}

/** A TCX attachment as plain data. */
export interface TcxState extends CommonState {
  readonly kind: 'tcx';
  readonly linkId: number;
}

/** A clsact attachment as plain data. */
export interface ClsactState extends CommonState {
  readonly kind: 'clsact';
  readonly handle: number;
  readonly priority: number;
  /** Whether the clsact qdisc was created for this attachment, or for an earlier one of the same process. */
  readonly createdQdisc: boolean;
}

/** Plain data from which {@link restoreTcLink} finds the attachment again. */
export type TcLinkState = TcxState | ClsactState;

/**
 * A TC program attached to a network device.
 *
 * close() ends the attachment unless it was pinned; a pinned attachment outlives the process. clsact filters exist on
 * their own, and close() detaches an unpinned one so that both kinds behave alike. However the process ends, an
 * unpinned TCX attachment ends with it, and an unpinned clsact attachment does not: store toJSON() to clean up.
 */
export interface TcLink extends Disposable {
  readonly kind: 'tcx' | 'clsact';
  /** The kernel's number of a TCX link; absent for clsact. */
  readonly id?: number;
  readonly target: TcTarget;
  /** Id of the attached program. */
  readonly progId: number;
  /** Where the attachment is pinned; undefined if it is not. */
  readonly pinPath: string | undefined;
  /**
   * Makes the attachment outlive this object: pins the link (TCX), or the program as its mark (clsact), on a bpffs. An
   * attachment has one pin at most; a pin that others have removed can be made again.
   */
  pin(path: string): void;
  /** Whether it is still attached: others may detach it, and it ends with its device. */
  isAttached(): boolean;
  /**
   * Removes this attachment, its pin, and a qdisc that was created for it and has nothing else on it. Does nothing if
   * it was removed already, by this process or another, or if the device is gone. Others' attachments stay.
   */
  detach(): void;
  close(): void;
  toJSON(): TcLinkState;
}
