// SPDX-License-Identifier: MIT
// clang -target bpf -g -O2 -I/usr/include/$(uname -m)-linux-gnu -c opensnoop.bpf.c
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* The process to watch; 0 for all. */
const volatile __u32 only;

struct open {
	__u32 pid;
	/* A descriptor, or -errno. */
	__s32 result;
	char comm[16];
	char path[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
	__type(value, struct open);
} opens SEC(".maps");

/* The path that each thread is opening, in its own memory. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, const char *);
} paths SEC(".maps");

/* /sys/kernel/tracing/events/syscalls/sys_enter_openat/format */
struct enter {
	__u64 common;
	__s64 number;
	__u64 directory;
	const char *path;
};

struct leave {
	__u64 common;
	__s64 number;
	__s64 result;
};

SEC("tracepoint/syscalls/sys_enter_openat")
int on_enter(struct enter *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 thread = id;
	const char *path = ctx->path;

	if (!only || id >> 32 == only)
		bpf_map_update_elem(&paths, &thread, &path, BPF_ANY);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_openat")
int on_exit(struct leave *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 thread = id;
	const char **path = bpf_map_lookup_elem(&paths, &thread);
	struct open *open;

	if (!path)
		return 0;
	open = bpf_ringbuf_reserve(&opens, sizeof(*open), 0);
	if (open) {
		open->pid = id >> 32;
		open->result = ctx->result;
		bpf_get_current_comm(open->comm, sizeof(open->comm));
		/* The memory has been read by the kernel, so it is there. */
		if (bpf_probe_read_user_str(open->path, sizeof(open->path), *path) < 0)
			open->path[0] = 0;
		bpf_ringbuf_submit(open, 0);
	}
	bpf_map_delete_elem(&paths, &thread);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
