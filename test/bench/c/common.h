/* SPDX-License-Identifier: MIT */
/* What the small programs of the benchmark share: addresses, time, and how they end. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The start of each datagram, so that the receiver can see what is missing or out of order. */
struct stamp {
	uint32_t flow;
	uint32_t pad;
	uint64_t number; /* per flow, from 0 */
};

#define MAX_FLOWS 64
#define BATCH 32 /* messages per system call */

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline struct sockaddr_in address(const char *ip, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };

	if (inet_pton(AF_INET, ip, &to.sin_addr) != 1) {
		errno = EINVAL;
		die(ip);
	}
	return to;
}

static volatile sig_atomic_t stopping;

static void stop(int signal)
{
	(void)signal;
	stopping = 1;
}

/* SIGTERM ends the program after its current system call, which it interrupts. */
static inline void stop_on_sigterm(void)
{
	struct sigaction action = { .sa_handler = stop };

	sigaction(SIGTERM, &action, NULL);
}

/* The harness waits for this line. */
static inline void say_ready(void)
{
	puts("ready");
	fflush(stdout);
}

#endif
