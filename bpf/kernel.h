/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few kernel types that the programs look into, as minimal CO-RE views: libbpf finds each
 * field's real offset in the running kernel's BTF at load time, so no vmlinux.h is checked in.
 * Source of the fields: include/linux/skbuff.h.
 */
#ifndef VNET_KERNEL_H
#define VNET_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* skb->ip_summed (include/linux/skbuff.h). */
#define CHECKSUM_UNNECESSARY 1
#define CHECKSUM_PARTIAL 3

#define SOCK_RAW 3 /* sock->sk_type (include/linux/net.h) */

/* Bits of skb_shared_info.gso_type (include/linux/skbuff.h). */
#define SKB_GSO_TCPV4 (1U << 0)
#define SKB_GSO_DODGY (1U << 1)
#define SKB_GSO_TCP_ECN (1U << 2)
#define SKB_GSO_TCP_FIXEDID (1U << 3)
#define SKB_GSO_TCPV6 (1U << 4)
#define SKB_GSO_UDP_L4 (1U << 17)
#define SKB_GSO_TCP_ACCECN (1U << 19)

/* The network namespace of a socket or device (include/net/sock.h, include/linux/netdevice.h). */
typedef struct {
	struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;

struct sock_common {
	possible_net_t skc_net;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
	__u16 sk_type;
	__u8 sk_kern_sock : 1;
} __attribute__((preserve_access_index));

struct net_device {
	possible_net_t nd_net;
} __attribute__((preserve_access_index));

struct sk_buff {
	struct sock *sk;
	struct net_device *dev;
	unsigned char *head;
	unsigned char *data;
	unsigned int end; /* an offset from head on 64-bit kernels */
	__u8 ip_summed : 2;
	__u8 tc_skip_classify : 1;
	__u16 csum_start; /* offset from head */
	__u16 csum_offset;
	__u16 transport_header; /* offset from head */
} __attribute__((preserve_access_index));

struct skb_shared_info {
	unsigned int gso_type;
} __attribute__((preserve_access_index));

/*
 * The skb behind a program's context. Its fields can be read with plain loads, while a probe costs
 * 30 ns (Linux 6.2, kernel/bpf/helpers.c). The controller sets direct_reads if the kernel has this;
 * without it the call is dead code.
 */
extern void *bpf_cast_to_kern_ctx(void *context) __ksym __weak;
const volatile bool direct_reads = false;

/* A field of the struct sk_buff behind a struct __sk_buff. */
#define SKB_READ(skb, field) \
	(direct_reads ? ((struct sk_buff *)bpf_cast_to_kern_ctx(skb))->field : \
			BPF_CORE_READ((struct sk_buff *)(skb), field))

static __always_inline __u8 ip_summed_of(struct __sk_buff *skb)
{
	struct sk_buff *kernel_skb = (struct sk_buff *)skb;

	if (!direct_reads)
		return BPF_CORE_READ_BITFIELD_PROBED(kernel_skb, ip_summed);
	kernel_skb = bpf_cast_to_kern_ctx(skb);
	return BPF_CORE_READ_BITFIELD(kernel_skb, ip_summed);
}

/* Whether an ifb has sent the frame on: filters and actions ignore it (ifb_ri_tasklet in drivers/net/ifb.c). */
static __always_inline bool comes_from_ifb(struct __sk_buff *skb)
{
	struct sk_buff *kernel_skb = (struct sk_buff *)skb;

	return BPF_CORE_READ_BITFIELD_PROBED(kernel_skb, tc_skip_classify);
}

/*
 * gso_type of a superpacket. Its skb_shared_info lies behind the data, where only a probe can read.
 */
static __always_inline unsigned int gso_type_of(struct __sk_buff *skb)
{
	struct skb_shared_info *shared = (void *)(SKB_READ(skb, head) + SKB_READ(skb, end));

	return BPF_CORE_READ(shared, gso_type);
}

#endif
