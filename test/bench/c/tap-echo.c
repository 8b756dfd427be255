/* SPDX-License-Identifier: MIT */
/*
 * tap-echo IFACE
 *
 * What people use instead: a TAP device and a process that writes back each frame it reads. With
 * IFF_VNET_HDR and every offload that the kernel has, so that superpackets and partial checksums cross
 * whole, as they do in ours. Makes the device; it goes with the process. Prints what it echoed at SIGTERM.
 */
#define _GNU_SOURCE
#include "common.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>

/* include/uapi/linux/if_tun.h; from Linux 6.2 on. */
#define F_USO4 0x20
#define F_USO6 0x40

#define HEADER_BYTES 10 /* struct virtio_net_hdr */

static char frame[HEADER_BYTES + 65536 + 64];

static int open_tap(const char *name)
{
	unsigned int tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	if (fd < 0)
		die("/dev/net/tun");
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &request))
		die("TUNSETIFF");
	if (ioctl(fd, TUNSETOFFLOAD, tso | F_USO4 | F_USO6) && ioctl(fd, TUNSETOFFLOAD, tso))
		die("TUNSETOFFLOAD");
	return fd;
}

int main(int argc, char **argv)
{
	uint64_t echoed = 0, refused = 0;
	struct pollfd waiting;

	if (argc != 2) {
		fprintf(stderr, "usage: tap-echo IFACE\n");
		return 2;
	}
	stop_on_sigterm();
	waiting = (struct pollfd){ .fd = open_tap(argv[1]), .events = POLLIN };
	say_ready();
	while (!stopping) {
		ssize_t length = read(waiting.fd, frame, sizeof(frame));

		if (length > 0 && write(waiting.fd, frame, length) == length)
			echoed++;
		else if (length > 0)
			refused++;
		else if (errno == EAGAIN || errno == EINTR || errno == EIO) /* EIO: the device is down */
			poll(&waiting, 1, -1);
		else
			die("read");
	}
	printf("{\"echoed\":%lu,\"refused\":%lu}\n", echoed, refused);
	return 0;
}
