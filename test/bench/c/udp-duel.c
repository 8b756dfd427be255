/* SPDX-License-Identifier: MIT */
/*
 * udp-duel IP PORT BYTES FLOWS COUNT BURSTS NETNS NETNS
 *
 * Sends bursts of COUNT datagrams by turns in two network namespaces, A B B A A B ..., each when all of the one before
 * has been received: two loops meet the same noisy seconds of the machine. Sends as udp-send does. Prints as JSON how
 * many nanoseconds each burst took from the first send to the last receipt, those of each namespace in a row.
 */
#define _GNU_SOURCE
#include "messages.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

#define BUFFER_BYTES (64 << 20)

static struct side {
	int receiver, senders[MAX_FLOWS];
} sides[2];

static struct messages out, in;
static pthread_barrier_t begin, end;
static uint64_t received_at;
static int bytes, flows, count, bursts;

/* A B B A: what gets slower all the time slows both. */
static struct side *side_of(int burst)
{
	return &sides[(burst & 1) ^ (burst >> 1 & 1)];
}

/* The sockets of one side; they stay in the namespace that the thread was in when it made them. */
static void open_side(struct side *side, const char *netns, struct sockaddr_in at)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC), size = BUFFER_BYTES;
	struct timeval patience = { .tv_sec = 2 };

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(netns);
	close(fd);
	side->receiver = socket(AF_INET, SOCK_DGRAM, 0);
	if (setsockopt(side->receiver, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    setsockopt(side->receiver, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    bind(side->receiver, (struct sockaddr *)&at, sizeof(at)))
		die("receiver");
	for (int i = 0; i < flows; i++) {
		side->senders[i] = socket(AF_INET, SOCK_DGRAM, 0);
		if (connect(side->senders[i], (struct sockaddr *)&at, sizeof(at)))
			die("connect");
	}
}

static void *receive(void *unused)
{
	for (int burst = 0; burst < bursts; burst++) {
		pthread_barrier_wait(&begin);
		for (int left = count; left > 0;) {
			int got = recvmmsg(side_of(burst)->receiver, in.headers, left < BATCH ? left : BATCH, MSG_WAITFORONE, NULL);

			if (got < 0 && errno != EINTR) {
				fprintf(stderr, "burst %d: %d datagrams have not come: ", burst, left);
				die("recvmmsg");
			}
			left -= got > 0 ? got : 0;
		}
		received_at = now_ns();
		pthread_barrier_wait(&end);
	}
	return unused;
}

static void send_burst(const struct side *side)
{
	int batch = flows == 1 ? BATCH : 1, flow = 0;

	for (int left = count; left > 0; flow = flow + 1 == flows ? 0 : flow + 1) {
		int sent = sendmmsg(side->senders[flow], out.headers, left < batch ? left : batch, 0);

		if (sent < 0 && errno != ENOBUFS && errno != EINTR)
			die("sendmmsg");
		left -= sent > 0 ? sent : 0;
	}
}

int main(int argc, char **argv)
{
	pthread_t receiver;
	uint64_t *took;

	if (argc == 9) {
		bytes = atoi(argv[3]);
		flows = atoi(argv[4]);
		count = atoi(argv[5]);
		bursts = 2 * atoi(argv[6]);
	}
	if (bytes < 1 || bytes > MAX_BYTES || flows < 1 || flows > MAX_FLOWS || count < 1 || bursts < 1) {
		fprintf(stderr, "usage: udp-duel IP PORT BYTES FLOWS COUNT BURSTS NETNS NETNS\n");
		return 2;
	}
	prepare(&out, bytes);
	prepare(&in, sizeof(in.payloads[0]));
	for (int i = 0; i < 2; i++)
		open_side(&sides[i], argv[7 + i], address(argv[1], argv[2]));
	took = calloc(bursts, sizeof(*took));
	pthread_barrier_init(&begin, NULL, 2);
	pthread_barrier_init(&end, NULL, 2);
	if (!took || pthread_create(&receiver, NULL, receive, NULL))
		die("receiver");
	for (int burst = 0; burst < bursts; burst++) {
		uint64_t start;

		pthread_barrier_wait(&begin);
		start = now_ns();
		send_burst(side_of(burst));
		pthread_barrier_wait(&end);
		took[burst] = received_at - start;
	}
	for (int i = 0; i < 2; i++) {
		const char *separator = i ? "],[" : "[[";

		for (int burst = 0; burst < bursts; burst++) {
			if (side_of(burst) != &sides[i])
				continue;
			printf("%s%lu", separator, took[burst]);
			separator = ",";
		}
	}
	puts("]]");
	return 0;
}
