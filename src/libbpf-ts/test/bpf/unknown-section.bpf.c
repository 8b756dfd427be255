// SPDX-License-Identifier: MIT
// A section that names no kind of program.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("no_such_kind")
int unknown(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
