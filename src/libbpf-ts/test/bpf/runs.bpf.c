// SPDX-License-Identifier: MIT
// Programs that a test runs with a context alone, and a map that is pinned by its name.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct numbers {
	__u64 left, right, sum;
};

SEC("syscall")
int add(struct numbers *ctx)
{
	ctx->sum = ctx->left + ctx->right;
	return 5;
}

SEC("raw_tp")
int first_argument(struct bpf_raw_tracepoint_args *ctx)
{
	return ctx->args[0] + 1;
}

char _license[] SEC("license") = "GPL";
