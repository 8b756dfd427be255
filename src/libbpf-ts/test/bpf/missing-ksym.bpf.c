// SPDX-License-Identifier: MIT
// A variable that no kernel has.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern const int no_such_kernel_variable __ksym;

SEC("tc")
int reads(struct __sk_buff *skb)
{
	return (long)&no_such_kernel_variable;
}

char _license[] SEC("license") = "GPL";
