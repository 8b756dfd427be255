// SPDX-License-Identifier: MIT
// A program with something to probe: two functions and a static probe, as often as it is told.
#include <stdlib.h>

/* What DTRACE_PROBE1(libbpf_ts, turn, n) of <sys/sdt.h> makes: a nop, and a note that says where and with what. */
#define PROBE_TURN(n)                                                             \
	__asm__ volatile("990: nop\n"                                             \
			 ".pushsection .note.stapsdt,\"?\",\"note\"\n"            \
			 ".balign 4\n"                                            \
			 ".4byte 992f-991f, 994f-993f, 3\n"                       \
			 "991: .asciz \"stapsdt\"\n"                              \
			 "992: .balign 4\n"                                       \
			 "993: .8byte 990b\n"                                     \
			 ".8byte _.stapsdt.base\n"                                \
			 ".8byte 0\n"                                             \
			 ".asciz \"libbpf_ts\"\n"                                 \
			 ".asciz \"turn\"\n"                                      \
			 ".asciz \"-4@%0\"\n"                                     \
			 "994: .balign 4\n"                                       \
			 ".popsection\n"                                          \
			 ".ifndef _.stapsdt.base\n"                               \
			 ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
			 ".weak _.stapsdt.base\n"                                 \
			 ".hidden _.stapsdt.base\n"                               \
			 "_.stapsdt.base: .space 1\n"                             \
			 ".size _.stapsdt.base, 1\n"                              \
			 ".popsection\n"                                          \
			 ".endif\n" ::"r"(n))

__attribute__((noinline)) int work(int n)
{
	__asm__ volatile("" : "+r"(n));
	return n + 1;
}

__attribute__((noinline)) int work_more(int n)
{
	__asm__ volatile("" : "+r"(n));
	return n + 2;
}

int main(int argc, char **argv)
{
	int sum = 0;

	for (int i = 0; i < atoi(argv[1]); i++) {
		sum += work(i) + work_more(i);
		PROBE_TURN(i);
	}
	return sum == 12345;
}
