// SPDX-License-Identifier: MIT
// clang -target bpf -g -O2 -I/usr/include/$(uname -m)-linux-gnu -c xdp-balancer.bpf.c
//
// Direct server return: only the Ethernet header is changed, and a server answers its client without the balancer.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SERVERS_MAX 64

/* The service: each server has its address, too, but does not answer ARP for it. */
const volatile __be32 address;
const volatile __u16 port;
const volatile __u32 server_count;

struct server {
	__u8 mac[6];
	__u64 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SERVERS_MAX);
	__type(key, __u32);
	__type(value, struct server);
} servers SEC(".maps");

SEC("xdp")
int balance(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *ports = (void *)(ip + 1); /* TCP begins with the ports, too */
	struct server *server;
	__u32 index;

	if ((void *)(ports + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5)
		return XDP_PASS;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	if (ip->daddr != address || ports->dest != bpf_htons(port) || !server_count)
		return XDP_PASS;
	/* A connection stays with its server. */
	index = (ip->saddr ^ ports->source) * 0x9e3779b1;
	index = (index >> 16) % server_count;
	server = bpf_map_lookup_elem(&servers, &index);
	if (!server)
		return XDP_DROP;
	__sync_fetch_and_add(&server->packets, 1);
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, server->mac, ETH_ALEN);
	return XDP_TX;
}

char _license[] SEC("license") = "Dual MIT/GPL";
