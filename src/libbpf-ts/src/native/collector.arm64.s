# SPDX-License-Identifier: MIT
# int collect(enum libbpf_print_level level, const char *format, va_list arguments), for arm64: messages.ts has it as
# bytes. Formats warnings into the next of 256 slots of 1024 bytes, behind the number of the thread and of the message.
# A va_list is a structure of 32 bytes, which is passed by its address.
	.text
	.globl	collect
collect:
	cbnz	w0, 1f			// LIBBPF_WARN is 0
	stp	x29, x30, [sp, #-48]!
	mov	x29, sp
	stp	x19, x20, [sp, #16]
	str	x21, [sp, #32]
	mov	x19, x1
	mov	x20, x2
	movz	x21, #0x20, lsl #32	// DATA
	movk	x21, #0x6c63, lsl #16
	ldr	x9, [x21, #16]
	blr	x9			// pthread_self()
	add	x10, x21, #8
2:	ldaxr	x11, [x10]		// the number of this message
	add	x12, x11, #1
	stlxr	w13, x12, [x10]
	cbnz	w13, 2b
	and	x12, x11, #255
	add	x10, x21, x12, lsl #10
	add	x10, x10, #64
	str	x0, [x10]
	str	x11, [x10, #8]
	add	x0, x10, #16
	mov	x1, #1008
	mov	x2, x19
	mov	x3, x20
	ldr	x9, [x21, #24]
	blr	x9			// vsnprintf(slot, size, format, arguments)
	ldr	x21, [sp, #32]
	ldp	x19, x20, [sp, #16]
	ldp	x29, x30, [sp], #48
1:	mov	w0, #0
	ret
