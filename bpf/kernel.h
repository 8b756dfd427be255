/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few kernel types that the programs look into, as minimal CO-RE views: libbpf finds each
 * field's real place in the running kernel's BTF at load time, so no vmlinux.h is checked in.
 * Source of the fields: include/linux/skbuff.h.
 */
#ifndef VNET_KERNEL_H
#define VNET_KERNEL_H

#include <linux/types.h>

#define CHECKSUM_PARTIAL 3

/* Bits of skb_shared_info.gso_type (include/linux/skbuff.h). */
#define SKB_GSO_TCPV4 (1U << 0)
#define SKB_GSO_DODGY (1U << 1)
#define SKB_GSO_TCP_ECN (1U << 2)
#define SKB_GSO_TCP_FIXEDID (1U << 3)
#define SKB_GSO_TCPV6 (1U << 4)
#define SKB_GSO_UDP_L4 (1U << 17)
#define SKB_GSO_TCP_ACCECN (1U << 19)

struct sk_buff {
	unsigned char *head;
	unsigned char *data;
	unsigned int end; /* an offset from head on 64-bit kernels */
	__u8 ip_summed : 2;
	__u16 csum_start; /* offset from head */
	__u16 csum_offset;
	__u16 transport_header; /* offset from head */
} __attribute__((preserve_access_index));

struct skb_shared_info {
	unsigned int gso_type;
} __attribute__((preserve_access_index));

#endif
