// SPDX-License-Identifier: MIT
// clang -target bpf -g -O2 -I/usr/include/$(uname -m)-linux-gnu -c cgroup-firewall.bpf.c
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct network {
	__u32 prefix_length;
	__u8 address[4];
};

struct refusal {
	__u32 pid;
	__u16 port;
	__u8 address[4];
	char comm[16];
};

/* Finds the longest prefix that matches. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network);
	__type(value, __u8);
} denied SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
	__type(value, struct refusal);
} refusals SEC(".maps");

SEC("cgroup/connect4")
int on_connect(struct bpf_sock_addr *ctx)
{
	struct network network = { .prefix_length = 32 };
	__u32 address = ctx->user_ip4;
	struct refusal *refusal;

	__builtin_memcpy(network.address, &address, sizeof(network.address));
	if (!bpf_map_lookup_elem(&denied, &network))
		return 1;
	refusal = bpf_ringbuf_reserve(&refusals, sizeof(*refusal), 0);
	if (refusal) {
		refusal->pid = bpf_get_current_pid_tgid() >> 32;
		refusal->port = bpf_ntohs(ctx->user_port);
		__builtin_memcpy(refusal->address, &address, sizeof(refusal->address));
		bpf_get_current_comm(refusal->comm, sizeof(refusal->comm));
		bpf_ringbuf_submit(refusal, 0);
	}
	return 0; /* connect(2) fails with EPERM */
}

char _license[] SEC("license") = "Dual MIT/GPL";
