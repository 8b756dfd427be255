// SPDX-License-Identifier: MIT
// A program whose licence excludes the helper that it calls.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int needs_gpl(struct __sk_buff *skb)
{
	static const char format[] = "x";

	return bpf_trace_printk(format, sizeof(format));
}

char _license[] SEC("license") = "Proprietary";
