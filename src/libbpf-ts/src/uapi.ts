// SPDX-License-Identifier: MIT
// Numbers from include/uapi/linux/bpf.h; the kernel never changes them.

/** `enum bpf_map_type`, the types in common use. */
export const MapType = {
  HASH: 1,
  ARRAY: 2,
  PROG_ARRAY: 3,
  PERF_EVENT_ARRAY: 4,
  PERCPU_HASH: 5,
  PERCPU_ARRAY: 6,
  STACK_TRACE: 7,
  CGROUP_ARRAY: 8,
  LRU_HASH: 9,
  LRU_PERCPU_HASH: 10,
  LPM_TRIE: 11,
  ARRAY_OF_MAPS: 12,
  HASH_OF_MAPS: 13,
  DEVMAP: 14,
  SOCKMAP: 15,
  CPUMAP: 16,
  XSKMAP: 17,
  SOCKHASH: 18,
  CGROUP_STORAGE: 19,
  PERCPU_CGROUP_STORAGE: 21,
  QUEUE: 22,
  STACK: 23,
  SK_STORAGE: 24,
  STRUCT_OPS: 26,
  RINGBUF: 27,
  INODE_STORAGE: 28,
  TASK_STORAGE: 29,
  BLOOM_FILTER: 30,
  USER_RINGBUF: 31,
  CGRP_STORAGE: 32,
  ARENA: 33,
} as const;

/** Flags of BPF_MAP_CREATE. */
export const MapFlag = {
  /** BPF_F_NO_PREALLOC */
  NO_PREALLOC: 1 << 0,
  /** BPF_F_MMAPABLE: the array may be mapped into user space (Linux 5.5). */
  MMAPABLE: 1 << 10,
} as const;

/** Flags of BPF_MAP_UPDATE_ELEM. */
export const UpdateFlag = {
  /** Create or replace. */
  ANY: 0,
  /** Only create. */
  NOEXIST: 1,
  /** Only replace. */
  EXIST: 2,
} as const;

/** `enum bpf_attach_type`, those used here. */
export const AttachType = {
  TRACE_FENTRY: 24,
  TRACE_FEXIT: 25,
  MODIFY_RETURN: 26,
  XDP: 37,
  NETFILTER: 45,
  TCX_INGRESS: 46,
  TCX_EGRESS: 47,
  TRACE_UPROBE_MULTI: 48,
  NETKIT_PRIMARY: 54,
  NETKIT_PEER: 55,
} as const;

/** `enum bpf_link_type`, those used here. */
export const LinkType = {
  RAW_TRACEPOINT: 1,
  TRACING: 2,
  CGROUP: 3,
  ITER: 4,
  NETNS: 5,
  XDP: 6,
  PERF_EVENT: 7,
  KPROBE_MULTI: 8,
  STRUCT_OPS: 9,
  NETFILTER: 10,
  TCX: 11,
  UPROBE_MULTI: 12,
  NETKIT: 13,
} as const;

/** `enum bpf_prog_type`, those used here. */
export const ProgramType = {
  KPROBE: 2,
  SCHED_CLS: 3,
  RAW_TRACEPOINT: 17,
  RAW_TRACEPOINT_WRITABLE: 24,
  TRACING: 26,
  STRUCT_OPS: 27,
  EXT: 28,
  LSM: 29,
  SYSCALL: 31,
  NETFILTER: 32,
} as const;

/** Return values of a TC program in direct-action mode (include/uapi/linux/pkt_cls.h). */
export const TcAction = {
  /** Continue with the next filter; on tcx, TC_ACT_STOLEN and others mean the same. */
  UNSPEC: -1,
  OK: 0,
  SHOT: 2,
  REDIRECT: 7,
} as const;
