/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own shortcut: what leaves an interface is received by it, and user space never sees it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int redirect(struct __sk_buff *skb)
{
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

char LICENSE[] SEC("license") = "GPL";
