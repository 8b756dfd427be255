# SPDX-License-Identifier: MIT
# int collect(enum libbpf_print_level level, const char *format, va_list arguments), for x86-64: messages.ts has it as
# bytes. Formats warnings into the next of 256 slots of 1024 bytes, behind the number of the thread and of the message.
	.text
	.globl	collect
collect:
	endbr64
	testl	%edi, %edi		# LIBBPF_WARN is 0
	jne	1f
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	movq	%rsi, %r12
	movq	%rdx, %r13
	movabsq	$0x206c630000, %rbx	# DATA
	callq	*16(%rbx)		# pthread_self()
	movl	$1, %ecx
	lock xaddq	%rcx, 8(%rbx)	# the number of this message
	movzbl	%cl, %edx
	shlq	$10, %rdx
	leaq	64(%rbx,%rdx), %rdi
	movq	%rax, (%rdi)
	movq	%rcx, 8(%rdi)
	addq	$16, %rdi
	movl	$1008, %esi
	movq	%r12, %rdx
	movq	%r13, %rcx
	callq	*24(%rbx)		# vsnprintf(slot, size, format, arguments)
	popq	%r13
	popq	%r12
	popq	%rbx
1:	xorl	%eax, %eax
	retq
