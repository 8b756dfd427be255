// SPDX-License-Identifier: MIT
// In the place of answer() of replace.bpf.c.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("freplace/answer")
int other_answer(struct __sk_buff *skb)
{
	return 42;
}

char _license[] SEC("license") = "Dual MIT/GPL";
