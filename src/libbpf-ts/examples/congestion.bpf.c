// SPDX-License-Identifier: MIT
// clang -target bpf -g -O2 -D__TARGET_ARCH_x86 -I/usr/include/$(uname -m)-linux-gnu -c congestion.bpf.c
//
// A congestion control with a window that never changes, for links whose capacity is known.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* What is used of them; where that is, libbpf finds in the running kernel's BTF. */
struct sock {
} __attribute__((preserve_access_index));

struct tcp_sock {
	__u32 snd_cwnd;
} __attribute__((preserve_access_index));

struct tcp_congestion_ops {
	__u32 flags;
	__u32 (*ssthresh)(struct sock *sk);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	char name[16];
};

/* TCP_CONG_NON_RESTRICTED: for all users and network namespaces. */
#define NON_RESTRICTED 1

/* In segments. */
const volatile __u32 window = 10;
__u64 acknowledged;
__u64 losses;

SEC("struct_ops/fixed_ssthresh")
__u32 BPF_PROG(fixed_ssthresh, struct sock *sk)
{
	__sync_fetch_and_add(&losses, 1);
	return window;
}

SEC("struct_ops/fixed_undo_cwnd")
__u32 BPF_PROG(fixed_undo_cwnd, struct sock *sk)
{
	return window;
}

SEC("struct_ops/fixed_cong_avoid")
void BPF_PROG(fixed_cong_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
	struct tcp_sock *tcp = (void *)sk;

	__sync_fetch_and_add(&acknowledged, acked);
	tcp->snd_cwnd = window;
}

SEC(".struct_ops")
struct tcp_congestion_ops fixed = {
	.flags = NON_RESTRICTED,
	.ssthresh = (void *)fixed_ssthresh,
	.undo_cwnd = (void *)fixed_undo_cwnd,
	.cong_avoid = (void *)fixed_cong_avoid,
	.name = "bpf_fixed",
};

char _license[] SEC("license") = "Dual MIT/GPL";
