// SPDX-License-Identifier: MIT
// clang -target bpf -g -O2 -D__TARGET_ARCH_x86 -I/usr/include/$(uname -m)-linux-gnu -c lsm-protect.bpf.c
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* What is read of it; where that is, libbpf finds in the running kernel's BTF. */
struct task_struct {
	int tgid;
} __attribute__((preserve_access_index));

const volatile int protected;

struct refusal {
	__u32 pid;
	__u32 uid;
	__s32 signal;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
	__type(value, struct refusal);
} refusals SEC(".maps");

SEC("lsm/task_kill")
int BPF_PROG(on_kill, struct task_struct *task, void *info, int signal, const void *cred, int verdict)
{
	int sender = bpf_get_current_pid_tgid() >> 32;
	struct refusal *refusal;

	/* Signal 0 only asks whether the process exists. */
	if (verdict || task->tgid != protected || sender == protected || !signal)
		return verdict;
	refusal = bpf_ringbuf_reserve(&refusals, sizeof(*refusal), 0);
	if (refusal) {
		refusal->pid = sender;
		refusal->uid = bpf_get_current_uid_gid();
		refusal->signal = signal;
		bpf_get_current_comm(refusal->comm, sizeof(refusal->comm));
		bpf_ringbuf_submit(refusal, 0);
	}
	return -EPERM;
}

char _license[] SEC("license") = "Dual MIT/GPL";
