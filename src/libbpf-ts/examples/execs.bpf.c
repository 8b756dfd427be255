// SPDX-License-Identifier: MIT
// clang -target bpf -g -O2 -I/usr/include/$(uname -m)-linux-gnu -c execs.bpf.c
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct exec {
	__u32 pid;
	__u32 uid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
	__type(value, struct exec);
} execs SEC(".maps");

SEC("tracepoint/sched/sched_process_exec")
int on_exec(void *ctx)
{
	struct exec *exec = bpf_ringbuf_reserve(&execs, sizeof(*exec), 0);

	if (!exec)
		return 0; /* the reader is too slow */
	exec->pid = bpf_get_current_pid_tgid() >> 32;
	exec->uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(exec->comm, sizeof(exec->comm));
	bpf_ringbuf_submit(exec, 0);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
