// SPDX-License-Identifier: MIT
// One program for each kind of attachment; each counts its runs under a key of its own.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Counts only what this thread group does, where a program is run by the whole machine. */
const volatile __u32 tgid;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 8);
} hits SEC(".maps");

static __always_inline void hit(__u32 key)
{
	__u64 *count = bpf_map_lookup_elem(&hits, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline int own(void)
{
	return bpf_get_current_pid_tgid() >> 32 == tgid;
}

SEC("xdp")
int on_xdp(struct xdp_md *ctx)
{
	hit(0);
	return XDP_PASS;
}

SEC("tracepoint")
int on_tracepoint(void *ctx)
{
	if (own())
		hit(1);
	return 0;
}

SEC("kprobe")
int on_kprobe(void *ctx)
{
	if (own())
		hit(2);
	return 0;
}

SEC("kretprobe")
int on_kretprobe(void *ctx)
{
	if (own())
		hit(3);
	return 0;
}

/* Functions that the kernel has for this: it calls them when a tracing program is run by BPF_PROG_TEST_RUN. */
SEC("fentry/bpf_fentry_test1")
int on_fentry(void *ctx)
{
	if (own())
		hit(4);
	return 0;
}

SEC("fexit/bpf_fentry_test1")
int on_fexit(void *ctx)
{
	if (own())
		hit(5);
	return 0;
}

SEC("tp_btf/sys_enter")
int on_tp_btf(void *ctx)
{
	if (own())
		hit(7);
	return 0;
}

SEC("cgroup_skb/egress")
int on_cgroup(struct __sk_buff *skb)
{
	hit(6);
	return 1; /* let it pass */
}

char _license[] SEC("license") = "Dual MIT/GPL";
