// SPDX-License-Identifier: MIT
// A netfilter program that counts and lets everything pass.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define NF_ACCEPT 1

__u64 packets;

SEC("netfilter")
int on_netfilter(void *ctx)
{
	__sync_fetch_and_add(&packets, 1);
	return NF_ACCEPT;
}

char _license[] SEC("license") = "Dual MIT/GPL";
