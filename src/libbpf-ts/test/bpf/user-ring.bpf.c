// SPDX-License-Identifier: MIT
// Adds up the numbers that user space sends through a user ring buffer.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} requests SEC(".maps");

__u64 sum;

static long add(struct bpf_dynptr *record, void *ctx)
{
	__u64 number = 0;

	if (bpf_dynptr_read(&number, sizeof(number), record, 0, 0) == 0)
		__sync_fetch_and_add(&sum, number);
	return 0;
}

SEC("tc")
int drain(struct __sk_buff *skb)
{
	return bpf_user_ringbuf_drain(&requests, add, (void *)0, 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
