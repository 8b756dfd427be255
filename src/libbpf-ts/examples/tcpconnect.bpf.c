// SPDX-License-Identifier: MIT
// clang -target bpf -g -O2 -I/usr/include/$(uname -m)-linux-gnu -c tcpconnect.bpf.c
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>

/* Of include/net/tcp_states.h. */
enum { TCP_SYN_SENT = 2 };

struct connection {
	__u32 pid;
	__u16 family;
	__u16 port;
	char comm[16];
	/* IPv4 addresses are mapped: the last four bytes. */
	__u8 from[16], to[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
	__type(value, struct connection);
} connections SEC(".maps");

/* /sys/kernel/tracing/events/sock/inet_sock_set_state/format */
struct set_state {
	__u64 common;
	const void *socket;
	__s32 old, new;
	__u16 source_port, port, family, protocol;
	__u8 from4[4], to4[4], from[16], to[16];
};

/* A socket becomes SYN_SENT in connect(2), in the process that calls it. */
SEC("tracepoint/sock/inet_sock_set_state")
int on_set_state(struct set_state *ctx)
{
	struct connection *it;

	/* Before Linux 5.6 the protocol is a byte. */
	if (ctx->new != TCP_SYN_SENT || (ctx->protocol & 0xff) != IPPROTO_TCP)
		return 0;
	it = bpf_ringbuf_reserve(&connections, sizeof(*it), 0);
	if (!it)
		return 0; /* the reader is too slow */
	it->pid = bpf_get_current_pid_tgid() >> 32;
	it->family = ctx->family;
	it->port = ctx->port;
	bpf_get_current_comm(it->comm, sizeof(it->comm));
	__builtin_memcpy(it->from, ctx->from, sizeof(it->from));
	__builtin_memcpy(it->to, ctx->to, sizeof(it->to));
	bpf_ringbuf_submit(it, 0);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
