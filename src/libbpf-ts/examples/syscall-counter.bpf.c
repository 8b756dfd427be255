// SPDX-License-Identifier: MIT
// clang -target bpf -g -O2 -I/usr/include/$(uname -m)-linux-gnu -c syscall-counter.bpf.c
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* The process to watch; set before the program is loaded. */
const volatile __u32 pid;

/* System calls by number. Each CPU counts on its own, so that no lock is needed. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 512);
} counts SEC(".maps");

/* /sys/kernel/tracing/events/raw_syscalls/sys_enter/format */
struct sys_enter {
	__u64 common;
	__s64 id;
	__u64 args[6];
};

SEC("tracepoint/raw_syscalls/sys_enter")
int sys_enter(struct sys_enter *ctx)
{
	__u32 id = ctx->id;
	__u64 one = 1, *count;

	if (bpf_get_current_pid_tgid() >> 32 != pid)
		return 0;
	count = bpf_map_lookup_elem(&counts, &id);
	if (count)
		++*count;
	else
		bpf_map_update_elem(&counts, &id, &one, BPF_NOEXIST);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
