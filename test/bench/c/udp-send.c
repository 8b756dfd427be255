/* SPDX-License-Identifier: MIT */
/*
 * udp-send IP PORT BYTES FLOWS SECONDS [RATE]
 *
 * Sends datagrams as fast as a blocking socket takes them, or RATE a second. One flow sends 32 with
 * each sendmmsg; several flows, a socket each, take turns after every datagram, so that neighbours
 * in the queue belong to different flows. Prints what it sent as a line of JSON.
 */
#define _GNU_SOURCE
#include "messages.h"

static struct messages messages;
static int sockets[MAX_FLOWS];
static uint64_t next_number[MAX_FLOWS];

static void fill(size_t bytes)
{
	for (int i = 0; i < BATCH; i++)
		for (size_t at = 0; at < bytes; at++)
			messages.payloads[i][at] = at;
}

/* Sends `count` datagrams of one flow; returns how many the kernel took. */
static int send_some(int flow, int count)
{
	int sent;

	for (int i = 0; i < count; i++) {
		struct stamp stamp = { .flow = flow, .number = next_number[flow] + i };

		memcpy(messages.payloads[i], &stamp, sizeof(stamp));
	}
	sent = sendmmsg(sockets[flow], messages.headers, count, 0);
	if (sent < 0 && errno != ENOBUFS && errno != EINTR)
		die("sendmmsg");
	if (sent < 0)
		return 0;
	next_number[flow] += sent;
	return sent;
}

/* Waits until a sender of `rate` datagrams a second may go on. */
static void keep_to(uint64_t rate, uint64_t sent, uint64_t start)
{
	uint64_t due = start + sent * 1000000000 / rate, now = now_ns();

	if (due > now + 50000) {
		struct timespec nap = { .tv_nsec = due - now };

		nanosleep(&nap, NULL);
	}
}

int main(int argc, char **argv)
{
	uint64_t start, now, end, sent = 0, refused = 0, rate = argc > 6 ? strtoull(argv[6], NULL, 10) : 0;
	int flows = argc > 5 ? atoi(argv[4]) : 0, flow = 0, batch = flows == 1 ? BATCH : 1;
	size_t bytes = argc > 5 ? atoi(argv[3]) : 0;
	struct sockaddr_in to;

	if (bytes < sizeof(struct stamp) || bytes > MAX_BYTES || flows < 1 || flows > MAX_FLOWS) {
		fprintf(stderr, "usage: udp-send IP PORT BYTES FLOWS SECONDS [RATE]\n");
		return 2;
	}
	to = address(argv[1], argv[2]);
	stop_on_sigterm();
	fill(bytes);
	prepare(&messages, bytes);
	for (int i = 0; i < flows; i++) {
		sockets[i] = socket(AF_INET, SOCK_DGRAM, 0);
		if (sockets[i] < 0 || connect(sockets[i], (struct sockaddr *)&to, sizeof(to)))
			die("connect");
	}
	start = now = now_ns();
	end = start + (uint64_t)(atof(argv[5]) * 1e9);
	for (; now < end && !stopping; now = now_ns()) {
		int count = send_some(flow, batch);

		sent += count;
		refused += count == 0;
		flow = flow + 1 == flows ? 0 : flow + 1;
		if (rate)
			keep_to(rate, sent, start);
	}
	printf("{\"sent\":%lu,\"refused\":%lu,\"startNs\":%lu}\n", sent, refused, start);
	return 0;
}
