// SPDX-License-Identifier: MIT
// A congestion control that never changes its mind: the smallest struct_ops.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct sock;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	char name[16];
};

__u64 calls;

SEC("struct_ops/steady_ssthresh")
__u32 BPF_PROG(steady_ssthresh, struct sock *sk)
{
	__sync_fetch_and_add(&calls, 1);
	return 20;
}

SEC("struct_ops/steady_undo_cwnd")
__u32 BPF_PROG(steady_undo_cwnd, struct sock *sk)
{
	__sync_fetch_and_add(&calls, 1);
	return 20;
}

SEC("struct_ops/steady_cong_avoid")
void BPF_PROG(steady_cong_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
	__sync_fetch_and_add(&calls, 1);
}

SEC(".struct_ops")
struct tcp_congestion_ops steady = {
	.ssthresh = (void *)steady_ssthresh,
	.undo_cwnd = (void *)steady_undo_cwnd,
	.cong_avoid = (void *)steady_cong_avoid,
	.name = "bpf_ts_steady",
};

char _license[] SEC("license") = "Dual MIT/GPL";
