// SPDX-License-Identifier: MIT
// Programs of the kinds that attach.bpf.c does not have. Each counts its runs, and says with which cookie.
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

#define KEYS 32

/* Counts only what this thread group does, where a program is run by the whole machine. */
const volatile __u32 tgid;

/* Whether the kernel has bpf_get_attach_cookie() (5.15): where not, the verifier leaves out what is not reached. */
const volatile bool with_cookies;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, KEYS);
} hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, KEYS);
} cookies SEC(".maps");

static __always_inline void hit(__u32 key)
{
	__u64 *count = bpf_map_lookup_elem(&hits, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline void hit_with_cookie(void *ctx, __u32 key)
{
	__u64 *cookie = bpf_map_lookup_elem(&cookies, &key);

	if (with_cookies && cookie)
		*cookie = bpf_get_attach_cookie(ctx);
	hit(key);
}

static __always_inline int own(void)
{
	return !tgid || bpf_get_current_pid_tgid() >> 32 == tgid;
}

SEC("raw_tp/sys_enter")
int on_raw_tp(void *ctx)
{
	if (own())
		hit(0);
	return 0;
}

SEC("tracepoint/raw_syscalls/sys_enter")
int on_tracepoint(void *ctx)
{
	if (own())
		hit_with_cookie(ctx, 1);
	return 0;
}

SEC("perf_event")
int on_perf_event(void *ctx)
{
	if (own())
		hit_with_cookie(ctx, 2);
	return 0;
}

SEC("uprobe")
int on_uprobe(void *ctx)
{
	hit_with_cookie(ctx, 3);
	return 0;
}

SEC("uretprobe")
int on_uretprobe(void *ctx)
{
	hit_with_cookie(ctx, 4);
	return 0;
}

SEC("usdt")
int on_usdt(struct pt_regs *ctx)
{
	__u32 key = 5;
	__u64 *cookie = bpf_map_lookup_elem(&cookies, &key);

	if (cookie)
		*cookie = bpf_usdt_cookie(ctx);
	hit(key);
	return 0;
}

SEC("kprobe.multi")
int on_kprobe_multi(void *ctx)
{
	if (own())
		hit_with_cookie(ctx, 6);
	return 0;
}

SEC("ksyscall")
int on_ksyscall(void *ctx)
{
	if (own())
		hit_with_cookie(ctx, 7);
	return 0;
}

SEC("kprobe")
int on_kprobe(void *ctx)
{
	if (own())
		hit_with_cookie(ctx, 8);
	return 0;
}

SEC("uprobe.multi")
int on_uprobe_multi(void *ctx)
{
	hit(9);
	return 0;
}

SEC("lsm/bpf")
int on_lsm(void *ctx)
{
	if (own())
		hit(10);
	return 0;
}

SEC("socket")
int on_socket(struct __sk_buff *skb)
{
	hit(11);
	return 0; /* nothing of any packet */
}

SEC("sk_lookup")
int on_sk_lookup(struct bpf_sk_lookup *ctx)
{
	hit(12);
	return SK_PASS;
}

SEC("flow_dissector")
int on_flow_dissector(struct __sk_buff *skb)
{
	hit(13);
	return 0;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *ctx)
{
	hit(14);
	return 0; /* refused */
}

SEC("cgroup/connect4")
int on_connect4_too(struct bpf_sock_addr *ctx)
{
	hit(15);
	return 0;
}

SEC("cgroup/sysctl")
int on_sysctl(struct bpf_sysctl *ctx)
{
	hit(16);
	return 1;
}

SEC("cgroup/dev")
int on_device(struct bpf_cgroup_dev_ctx *ctx)
{
	hit(17);
	return 1;
}

SEC("cgroup/getsockopt")
int on_getsockopt(struct bpf_sockopt *ctx)
{
	hit(18);
	return 1;
}

SEC("sockops")
int on_sockops(struct bpf_sock_ops *ctx)
{
	hit(19);
	return 1;
}

SEC("xdp")
int on_xdp(struct xdp_md *ctx)
{
	hit(20);
	return XDP_PASS;
}

SEC("tc")
int on_tc(struct __sk_buff *skb)
{
	hit(21);
	return -1;
}

SEC("tc")
int on_tc_too(struct __sk_buff *skb)
{
	hit(22);
	return -1;
}

SEC("cgroup_skb/ingress")
int on_cgroup_ingress(struct __sk_buff *skb)
{
	hit(23);
	return 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
