/* SPDX-License-Identifier: MIT */
/*
 * udp-receive IP PORT
 *
 * Receives what udp-send sends. At SIGTERM it reads from its standard input how much was sent, and ends when all of it
 * is here, or when nothing has come for half a second and no frame is on its way round: a loop that had to wait for the
 * processor has not lost anything. Prints as JSON how much came, when the last of it came, how much was out of order,
 * and what the kernel dropped because this socket's buffer was full.
 */
#define _GNU_SOURCE
#include "messages.h"

#include <linux/sock_diag.h>

#define BUFFER_BYTES (256 << 20)
#define PATIENCE 20 /* half seconds without a datagram though frames are under way */

static struct messages messages;
static uint64_t expected[MAX_FLOWS];
static uint64_t received, bytes, out_of_order, strange;

static void count(const char *payload, size_t length)
{
	struct stamp stamp;

	memcpy(&stamp, payload, sizeof(stamp));
	if (length < sizeof(stamp) || stamp.flow >= MAX_FLOWS) {
		strange++;
		return;
	}
	received++;
	bytes += length;
	if (stamp.number < expected[stamp.flow])
		out_of_order++;
	else
		expected[stamp.flow] = stamp.number + 1;
}

/* Whether an interface of this namespace has sent frames that it has not received yet. */
static int frames_under_way(void)
{
	FILE *counters = fopen("/proc/net/dev", "r");
	unsigned long tx, rx, under_way = 0;
	char line[512], name[64];

	if (!counters)
		die("/proc/net/dev");
	while (fgets(line, sizeof(line), counters))
		if (sscanf(line, " %63[^:]: %*u %lu %*u %*u %*u %*u %*u %*u %*u %lu", name, &rx, &tx) == 3)
			under_way += tx > rx;
	fclose(counters);
	return under_way > 0;
}

int main(int argc, char **argv)
{
	struct timeval quiet = { .tv_usec = 500000 };
	uint32_t meminfo[SK_MEMINFO_VARS] = { 0 };
	socklen_t meminfo_bytes = sizeof(meminfo);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = BUFFER_BYTES;
	uint64_t last = 0, sent = UINT64_MAX;
	int patience = PATIENCE;
	struct sockaddr_in at;

	if (argc != 3) {
		fprintf(stderr, "usage: udp-receive IP PORT\n");
		return 2;
	}
	at = address(argv[1], argv[2]);
	stop_on_sigterm();
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		die("SO_RCVBUFFORCE");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof(quiet)))
		die("SO_RCVTIMEO");
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die("bind");
	prepare(&messages, sizeof(messages.payloads[0]));
	say_ready();
	while (received < sent) {
		int got = recvmmsg(fd, messages.headers, BATCH, MSG_WAITFORONE, NULL);

		if (got < 0 && errno != EAGAIN && errno != EINTR)
			die("recvmmsg");
		if (got < 0 && errno == EAGAIN && sent != UINT64_MAX && (!frames_under_way() || !patience--))
			break;
		if (stopping && sent == UINT64_MAX && scanf("%lu", &sent) != 1)
			die("standard input");
		if (got <= 0)
			continue;
		last = now_ns();
		for (int i = 0; i < got; i++)
			count(messages.payloads[i], messages.headers[i].msg_len);
	}
	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, meminfo, &meminfo_bytes))
		die("SO_MEMINFO");
	printf("{\"received\":%lu,\"bytes\":%lu,\"lastNs\":%lu,\"outOfOrder\":%lu,\"strange\":%lu,\"overflowed\":%u}\n",
	       received, bytes, last, out_of_order, strange, meminfo[SK_MEMINFO_DROPS]);
	return 0;
}
