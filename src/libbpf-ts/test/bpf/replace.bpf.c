// SPDX-License-Identifier: MIT
// A program with a global function, and another in the place of that function.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__attribute__((noinline)) int answer(struct __sk_buff *skb)
{
	/* Something that the compiler cannot know. */
	return skb->len > 1000000 ? 2 : 1;
}

SEC("tc")
int asks(struct __sk_buff *skb)
{
	return answer(skb);
}

char _license[] SEC("license") = "Dual MIT/GPL";
