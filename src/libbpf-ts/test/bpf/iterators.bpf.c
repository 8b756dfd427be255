// SPDX-License-Identifier: MIT
// Iterators over tasks and over the entries of a map; each line is a number or two.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
	int tgid;
} __attribute__((preserve_access_index));

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 100);
} numbers SEC(".maps");

static const char one_number[] = "%d\n";
static const char two_numbers[] = "%u %llu\n";

SEC("iter/task")
int each_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u64 tgid;

	if (!task)
		return 0;
	tgid = task->tgid;
	bpf_seq_printf(ctx->meta->seq, one_number, sizeof(one_number), &tgid, sizeof(tgid));
	return 0;
}

SEC("iter/bpf_map_elem")
int each_entry(struct bpf_iter__bpf_map_elem *ctx)
{
	__u32 *key = ctx->key;
	__u64 *value = ctx->value;
	__u64 arguments[2];

	if (!key || !value)
		return 0;
	arguments[0] = *key;
	arguments[1] = *value;
	bpf_seq_printf(ctx->meta->seq, two_numbers, sizeof(two_numbers), arguments, sizeof(arguments));
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
