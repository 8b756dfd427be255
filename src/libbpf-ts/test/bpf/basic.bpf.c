// SPDX-License-Identifier: MIT
// Maps, constants and TC programs for the kernel tests.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum mode { MODE_NONE, MODE_ONE = 1, MODE_BIG = 1000 };

const volatile __u32 answer = 7;
const volatile __u8 small;
const volatile __s16 negative;
const volatile __u64 wide;
const volatile _Bool flag;
const volatile enum mode mode;
const volatile __u32 several[4];

struct pair {
	__u32 first;
	__u32 second;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct pair);
	__uint(max_entries, 1000);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct pair);
	__uint(max_entries, 2);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4);
} shared SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

SEC("tc")
int count(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct pair *pair = bpf_map_lookup_elem(&counters, &key);
	__u64 *word = bpf_map_lookup_elem(&shared, &key);

	if (pair) {
		pair->first++;
		pair->second += skb->len;
	}
	if (word)
		__sync_fetch_and_add(word, 1);
	return -1; /* TC_ACT_UNSPEC: the next program has its turn */
}

SEC("tc")
int constants(struct __sk_buff *skb)
{
	return answer + small + negative + (__u32)(wide >> 32) + flag + mode + several[1];
}

/* Submits the packet's first bytes: the length of the record is the packet's, up to 64. */
SEC("tc")
int emit(struct __sk_buff *skb)
{
	__u32 len = skb->len;
	__u8 *record = bpf_ringbuf_reserve(&ring, 64, 0);

	if (!record)
		return 1;
	if (bpf_skb_load_bytes(skb, 0, record, 14) || record[0] == 0xdd) {
		bpf_ringbuf_discard(record, 0);
		return 2;
	}
	*(__u32 *)(record + 16) = len;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
