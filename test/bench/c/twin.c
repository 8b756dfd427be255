/* SPDX-License-Identifier: MIT */
/*
 * twin PINS PEER-IFINDEX ROOM-IFINDEX LOW-WATERMARK BUDGET CPU ROOM-FRAME-MAX
 *
 * The poller of src/datapath in C, to the same design: the same BPF programs and maps (those of an
 * attachment whose controller was killed), the same batch log and counters, sendmmsg from the mapped
 * ring, the same arming and waking. Started in the peer namespace; ends at SIGTERM.
 */
#define _GNU_SOURCE
#include "twin-gate.h"

#include <sched.h>
#include <sys/epoll.h>

#define VNET_HDR_BYTES sizeof(struct vnet_hdr)
#define MARK_REFUSED 0xffffffff
#define TRIES_PER_POLL 8
#define WATCHDOG_MS 1000

static struct ring ring;
static struct room room;
static struct control *ctl;
static struct batch *batch;
static struct iovec iovecs[BATCH_MAX];
static int packet_socket, budget;
static uint64_t low_watermark;
static bool blocked;

static struct mmsghdr *message(int index)
{
	return (struct mmsghdr *)&batch->messages[index];
}

static const struct record *record(int index)
{
	return (const struct record *)(ring.data + ring.offset[index]);
}

static void begin_batch(int leased)
{
	for (int i = 0; i < leased; i++) {
		iovecs[i] = (struct iovec){ (void *)&record(i)->vnet, VNET_HDR_BYTES + record(i)->frame_len };
		message(i)->msg_len = 0;
	}
	batch->start = ring.position;
	batch->drained = ctl->drained;
	batch->rx_packets = ctl->rx_packets;
	batch->rx_bytes = ctl->rx_bytes;
	__atomic_store_n(&batch->count, leased, __ATOMIC_SEQ_CST);
}

static void received(int from, int to)
{
	uint64_t bytes = 0;

	for (int i = from; i < to; i++) {
		uint32_t length = record(i)->frame_len;

		bytes += length;
		if (length > ctl->largest_frame)
			ctl->largest_frame = length;
	}
	ctl->rx_packets += to - from;
	ctl->rx_bytes += bytes;
}

static void refuse(int index)
{
	message(index)->msg_len = MARK_REFUSED;
	if (errno == EMSGSIZE)
		ctl->refused_toolong++;
	else if (errno == EINVAL)
		ctl->refused_invalid++;
	else
		ctl->refused_error++;
	ctl->reinject_errors++;
}

/* Sends the leased records; returns how many were sent or refused. */
static int send_leased(int leased)
{
	int done = 0, tries = 0;

	begin_batch(leased);
	while (done < leased) {
		int result = sendmmsg(packet_socket, message(done), leased - done, MSG_DONTWAIT);

		if (result > 0) {
			received(done, done + result);
			done += result;
		} else if (errno == ENOBUFS || errno == EAGAIN || errno == ENOMEM || errno == EINTR) {
			ctl->enobufs += errno == ENOBUFS;
			ctl->reinject_retries++;
			if (++tries > TRIES_PER_POLL) {
				blocked = true;
				break;
			}
		} else {
			refuse(done++);
		}
	}
	return done;
}

static int poll_ring(void)
{
	int leased = lease(&ring, budget), done;

	blocked = false;
	done = leased ? send_leased(leased) : 0;
	commit(&ring, done);
	if (leased) {
		__atomic_store_n(&ctl->drained, ctl->drained + done, __ATOMIC_SEQ_CST);
		__atomic_store_n(&batch->count, 0, __ATOMIC_SEQ_CST);
		ctl->polls++;
		ctl->budget_exhausted += done == budget;
	}
	update_gate(&room, ctl, &ring, low_watermark);
	return done;
}

static void arm(uint32_t armed)
{
	__atomic_store_n(&ctl->armed, armed, __ATOMIC_SEQ_CST);
}

/* The queue is stopped and the ring empty: held frames are on their way out of the room. */
static void wait_for_room(void)
{
	static uint64_t before;
	uint64_t now = __atomic_load_n(&ctl->held_out, __ATOMIC_SEQ_CST);

	if (now == before)
		usleep(1000);
	before = now;
}

/* napi_complete: arm, look again, sleep. */
static void sleep_unless_work(int epoll)
{
	struct epoll_event event;

	arm(1);
	if (is_empty(&ring) && (ctl->gate & GATE_STOPPED)) {
		arm(0);
		wait_for_room();
		return;
	}
	if (is_empty(&ring) && !stopping) {
		ctl->sleeps++;
		if (epoll_wait(epoll, &event, 1, WATCHDOG_MS) > 0)
			ctl->wakeups++;
	}
	arm(0);
}

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(0);
	cpu_set_t cpus;

	if (argc != 8) {
		fprintf(stderr, "usage: twin PINS PEER-IFINDEX ROOM-IFINDEX LOW-WATERMARK BUDGET CPU ROOM-FRAME-MAX\n");
		return 2;
	}
	stop_on_sigterm();
	open_ring(&ring, argv[1]);
	ctl = map_or_die(open_pin(argv[1], "control", sizeof(*ctl), NULL), sizeof(*ctl), PROT_READ | PROT_WRITE, 0);
	batch = map_or_die(open_pin(argv[1], "batch", sizeof(*batch), NULL), sizeof(*batch), PROT_READ | PROT_WRITE, 0);
	packet_socket = open_socket(atoi(argv[2]));
	open_room(&room, atoi(argv[3]), atoi(argv[7]));
	low_watermark = strtoull(argv[4], NULL, 10);
	budget = atoi(argv[5]);
	CPU_ZERO(&cpus);
	CPU_SET(atoi(argv[6]), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) || epoll_ctl(epoll, EPOLL_CTL_ADD, ring.fd, &event))
		die("set-up");
	for (int i = 0; i < budget; i++)
		message(i)->msg_hdr = (struct msghdr){ .msg_iov = &iovecs[i], .msg_iovlen = 1 };
	arm(0);
	say_ready();
	while (!stopping) {
		int done = poll_ring();

		if (blocked)
			usleep(1000);
		else if (done < budget)
			sleep_unless_work(epoll);
	}
	return 0;
}
