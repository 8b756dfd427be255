// SPDX-License-Identifier: MIT
// Programs that the verifier refuses, one for each row of refusals.ts that a kernel without options shows. Each is
// loaded by itself; its name says why it is refused.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct value {
	__u64 numbers[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct value);
	__uint(max_entries, 1);
} values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct locked {
	struct bpf_spin_lock lock;
	__u32 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct locked);
	__uint(max_entries, 1);
} locks SEC(".maps");

const volatile __u64 constant = 7;

static __always_inline struct value *lookup(void)
{
	/* Of a constant key the kernel knows from Linux 6.14 on that an array has it. */
	__u32 key = bpf_get_prandom_u32();

	return bpf_map_lookup_elem(&values, &key);
}

SEC("tc")
int null_pointer(struct __sk_buff *skb)
{
	return lookup()->numbers[0];
}

SEC("tc")
int null_argument(struct __sk_buff *skb)
{
	__u32 key = 0;

	return bpf_map_update_elem(&values, &key, lookup(), 0);
}

SEC("tc")
int packet_bounds(struct __sk_buff *skb)
{
	__u8 *data = (__u8 *)(long)skb->data;

	return data[20];
}

SEC("tc")
int packet_end(struct __sk_buff *skb)
{
	__u8 *data_end = (__u8 *)(long)skb->data_end;

	return data_end[0];
}

SEC("tc")
int negative_index(struct __sk_buff *skb)
{
	struct value *value = lookup();
	__s32 index = (__s32)bpf_get_prandom_u32();

	if (!value || index > 3)
		return 0;
	return value->numbers[index];
}

SEC("tc")
int unbounded_index(struct __sk_buff *skb)
{
	struct value *value = lookup();
	__u32 index = bpf_get_prandom_u32();

	if (!value)
		return 0;
	return value->numbers[index];
}

SEC("tc")
int beyond_value(struct __sk_buff *skb)
{
	struct value *value = lookup();

	return value ? *((volatile __u64 *)value + 4) : 0;
}

SEC("tc")
int zero_length(struct __sk_buff *skb)
{
	__u8 bytes[16] = {};
	__u32 length = bpf_get_prandom_u32() & 15;

	asm volatile("" : "+r"(length));
	length &= 15;
	bpf_skb_load_bytes(skb, 0, bytes, length);
	return bytes[0];
}

SEC("tc")
int number_as_pointer(struct __sk_buff *skb)
{
	return *(volatile __u32 *)(long)bpf_ktime_get_ns();
}

SEC("tc")
int unreleased(struct __sk_buff *skb)
{
	__u64 *record = bpf_ringbuf_reserve(&ring, 8, 0);

	if (record)
		*record = 1;
	return 0;
}

SEC("tc")
__attribute__((naked)) int endless(void)
{
	asm volatile("r0 = 0\n"
		     "1: if r0 > 1 goto 2f\n"
		     "goto 1b\n"
		     "2: exit\n");
}

static __attribute__((noinline)) int deep2(__u64 number)
{
	__u8 bytes[300] = {};

	asm volatile("" : : "r"(bytes) : "memory");
	return number + bytes[0];
}

static __attribute__((noinline)) int deep1(__u64 number)
{
	__u8 bytes[300] = {};

	asm volatile("" : : "r"(bytes) : "memory");
	return bytes[0] + deep2(number + bytes[0]);
}

SEC("tc")
int stack_size(struct __sk_buff *skb)
{
	return deep1(bpf_get_prandom_u32());
}

SEC("tc")
__attribute__((naked)) int stack_bounds(void)
{
	asm volatile("r1 = 0\n"
		     "*(u64 *)(r10 - 520) = r1\n"
		     "r0 = 0\n"
		     "exit\n");
}

/* The kernel takes it from a privileged process from Linux 6.4 on, unless a helper reads it strictly. */
SEC("tc")
__attribute__((naked)) int uninitialized_key(void)
{
	asm volatile("r1 = %[values] ll\n"
		     "r2 = r10\n"
		     "r2 += -516\n"
		     "call %[lookup]\n"
		     "r0 = 0\n"
		     "exit\n"
		     :
		     : [values] "i"(&values), [lookup] "i"(bpf_map_lookup_elem));
}

SEC("tc")
__attribute__((naked)) int no_return_value(void)
{
	asm volatile("exit\n");
}

SEC("tc")
__attribute__((naked)) int uninitialized_register(void)
{
	asm volatile("r0 = r3\n"
		     "exit\n");
}

SEC("cgroup_skb/egress")
int return_value(struct __sk_buff *skb)
{
	return 77;
}

SEC("tc")
int unknown_helper(struct __sk_buff *skb)
{
	return ((int (*)(void))99999)();
}

SEC("xdp")
int helper_of_others(struct xdp_md *ctx)
{
	return ((int (*)(void *, __u32))BPF_FUNC_skb_change_type)(ctx, 0);
}

SEC("tc")
int context_field(struct __sk_buff *skb)
{
	return *(volatile __u32 *)((char *)skb + 4000);
}

SEC("tc")
int context_pointer(struct __sk_buff *skb)
{
	char *pointer = (char *)skb;

	pointer += bpf_get_prandom_u32() & 4;
	asm volatile("" : "+r"(pointer));
	return *(volatile __u32 *)pointer;
}

SEC("tc")
int pointer_sum(struct __sk_buff *skb)
{
	struct value *value = lookup();

	if (!value)
		return 0;
	asm volatile("%0 += %0" : "+r"(value));
	return value->numbers[0];
}

SEC("tc")
__attribute__((naked)) int no_end(void)
{
	asm volatile("r0 = 0\n");
}

SEC("tc")
int write_constant(struct __sk_buff *skb)
{
	*(volatile __u64 *)&constant = skb->len;
	return 0;
}

SEC("tc")
int misaligned(struct __sk_buff *skb)
{
	__u8 bytes[16] = {};

	asm volatile("%0 = *(u64 *)(%1 + 1)" : "=r"(*(__u64 *)bytes) : "r"(bytes));
	return bytes[0];
}

SEC("tc")
int lock_kept(struct __sk_buff *skb)
{
	__u32 key = bpf_get_prandom_u32();
	struct locked *locked = bpf_map_lookup_elem(&locks, &key);

	if (!locked)
		return 0;
	bpf_spin_lock(&locked->lock);
	locked->number++;
	return 0;
}

SEC("tc")
int wrong_argument(struct __sk_buff *skb)
{
	return bpf_map_delete_elem((void *)skb, (void *)skb);
}

char _license[] SEC("license") = "GPL";
