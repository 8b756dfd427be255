// SPDX-License-Identifier: MIT
// A map as libbpf before 1.0 had them.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct legacy_map {
	unsigned int type, key_size, value_size, max_entries, flags;
};

struct legacy_map SEC("maps") old = { BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0 };

SEC("tc")
int uses(struct __sk_buff *skb)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&old, &key) != 0;
}

char _license[] SEC("license") = "GPL";
