/* SPDX-License-Identifier: MIT */
/*
 * ping-pong server IP PORT             answers every datagram until SIGTERM
 * ping-pong client IP PORT SECONDS     sends one of 64 bytes, waits for its answer, and so on
 *
 * The client prints percentiles of the round-trip time in microseconds as JSON. Both ways pass the loop.
 */
#include "common.h"

#define BYTES 64
#define MOST 8000000

static uint32_t samples[MOST]; /* ns */

static int ascending(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static double percentile(size_t count, double part)
{
	size_t at = part * count;

	return samples[at < count ? at : count - 1] / 1e3;
}

static int serve(int fd, struct sockaddr_in at)
{
	struct sockaddr_in from;
	socklen_t length;
	char payload[BYTES];

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die("bind");
	stop_on_sigterm();
	say_ready();
	while (!stopping) {
		ssize_t got;

		length = sizeof(from);
		got = recvfrom(fd, payload, sizeof(payload), 0, (struct sockaddr *)&from, &length);
		if (got > 0)
			sendto(fd, payload, got, 0, (struct sockaddr *)&from, length);
	}
	return 0;
}

static int ask(int fd, struct sockaddr_in to, double seconds)
{
	uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), number = 0, lost = 0, before = start;
	struct timeval patience = { .tv_sec = 1 };
	char payload[BYTES] = { 0 };
	size_t count = 0;

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		die("SO_RCVTIMEO");
	while (count < MOST && before < end) {
		uint64_t answer = ~number, now;

		memcpy(payload, &number, sizeof(number));
		if (send(fd, payload, sizeof(payload), 0) < 0)
			die("send");
		while (answer != number && recv(fd, payload, sizeof(payload), 0) > 0)
			memcpy(&answer, payload, sizeof(answer)); /* an answer that came too late is passed over */
		now = now_ns();
		if (answer == number)
			samples[count++] = now - before < UINT32_MAX ? now - before : UINT32_MAX;
		else
			lost++;
		number++;
		before = now;
	}
	if (!count) {
		fprintf(stderr, "no answer\n");
		return 1;
	}
	qsort(samples, count, sizeof(samples[0]), ascending);
	printf("{\"count\":%zu,\"lost\":%lu,\"p50\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%.2f}\n", count, lost,
	       percentile(count, 0.5), percentile(count, 0.99), percentile(count, 0.999), percentile(count, 1));
	return 0;
}

int main(int argc, char **argv)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc == 4 && !strcmp(argv[1], "server"))
		return serve(fd, address(argv[2], argv[3]));
	if (argc == 5 && !strcmp(argv[1], "client"))
		return ask(fd, address(argv[2], argv[3]), atof(argv[4]));
	fprintf(stderr, "usage: ping-pong server IP PORT | client IP PORT SECONDS\n");
	return 2;
}
