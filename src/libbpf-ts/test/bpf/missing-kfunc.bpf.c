// SPDX-License-Identifier: MIT
// A kernel function that no kernel has.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int no_such_kernel_function(void) __ksym;

SEC("tc")
int calls(struct __sk_buff *skb)
{
	return no_such_kernel_function();
}

char _license[] SEC("license") = "GPL";
