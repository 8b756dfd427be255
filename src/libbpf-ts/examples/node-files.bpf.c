// SPDX-License-Identifier: MIT
// clang -target bpf -g -O2 -D__TARGET_ARCH_x86 -I/usr/include/$(uname -m)-linux-gnu -c node-files.bpf.c
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct file {
	__u32 pid;
	/* As of open(2). */
	__u32 flags;
	char path[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
	__type(value, struct file);
} files SEC(".maps");

/* int uv_fs_open(uv_loop_t *loop, uv_fs_t *req, const char *path, int flags, int mode, uv_fs_cb cb) */
SEC("uprobe")
int on_open(struct pt_regs *ctx)
{
	struct file *file = bpf_ringbuf_reserve(&files, sizeof(*file), 0);

	if (!file)
		return 0; /* the reader is too slow */
	file->pid = bpf_get_current_pid_tgid() >> 32;
	file->flags = PT_REGS_PARM4(ctx);
	if (bpf_probe_read_user_str(file->path, sizeof(file->path), (void *)PT_REGS_PARM3(ctx)) < 0)
		file->path[0] = 0;
	bpf_ringbuf_submit(file, 0);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
