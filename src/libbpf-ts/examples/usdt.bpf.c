// SPDX-License-Identifier: MIT
// clang -target bpf -g -O2 -D__TARGET_ARCH_x86 -I/usr/include/$(uname -m)-linux-gnu -c usdt.bpf.c
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

struct firing {
	__u32 pid;
	__u32 argument_count;
	__s64 arguments[3];
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
	__type(value, struct firing);
} firings SEC(".maps");

SEC("usdt")
int on_probe(struct pt_regs *ctx)
{
	struct firing *firing = bpf_ringbuf_reserve(&firings, sizeof(*firing), 0);
	long argument;

	if (!firing)
		return 0; /* the reader is too slow */
	firing->pid = bpf_get_current_pid_tgid() >> 32;
	firing->argument_count = bpf_usdt_arg_cnt(ctx);
	for (int i = 0; i < 3; i++) {
		argument = 0;
		bpf_usdt_arg(ctx, i, &argument);
		firing->arguments[i] = argument;
	}
	bpf_get_current_comm(firing->comm, sizeof(firing->comm));
	bpf_ringbuf_submit(firing, 0);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
