/* SPDX-License-Identifier: MIT */
/* What one sendmmsg or recvmmsg of the benchmark moves. Needs _GNU_SOURCE. */
#ifndef BENCH_MESSAGES_H
#define BENCH_MESSAGES_H

#include "common.h"

#define MAX_BYTES 65507 /* of a datagram over IPv4 */

struct messages {
	struct mmsghdr headers[BATCH];
	struct iovec iovecs[BATCH];
	char payloads[BATCH][65536];
};

/* Each message is `bytes` bytes of its payload, to be sent, or received at most. */
static inline void prepare(struct messages *messages, size_t bytes)
{
	for (int i = 0; i < BATCH; i++) {
		messages->iovecs[i] = (struct iovec){ messages->payloads[i], bytes };
		messages->headers[i].msg_hdr = (struct msghdr){ .msg_iov = &messages->iovecs[i], .msg_iovlen = 1 };
	}
}

#endif
