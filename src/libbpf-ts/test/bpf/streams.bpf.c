// SPDX-License-Identifier: MIT
// Records to user space through a ring buffer and a perf buffer, and from user space through a user ring buffer.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} perf SEC(".maps");

__u64 sent; /* by one test run at a time: Linux 5.10 has no atomic fetch */

SEC("tc")
int to_ring(struct __sk_buff *skb)
{
	__u64 number = sent++;

	return bpf_ringbuf_output(&ring, &number, sizeof(number), 0) ? 1 : 0;
}

SEC("tc")
int to_perf(struct __sk_buff *skb)
{
	__u64 number = sent++;

	return bpf_perf_event_output(skb, &perf, BPF_F_CURRENT_CPU, &number, sizeof(number)) ? 1 : 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
