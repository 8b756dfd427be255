/* SPDX-License-Identifier: MIT */
/* The ring of the C twin: mapped, leased and committed as src/libbpf-ts/src/ring-reader.ts does. */
#ifndef BENCH_TWIN_RING_H
#define BENCH_TWIN_RING_H

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "common.h"

#define MOST_RECORDS 1024

struct ring {
	int fd;
	uint64_t size, mask;
	uint64_t *consumer; /* its page, writable */
	const uint64_t *producer;
	char *data; /* mapped twice in a row */
	uint64_t position; /* what *consumer holds */
	int leased;
	uint64_t scanned; /* bytes that committing the whole lease gives back */
	uint32_t offset[MOST_RECORDS]; /* of each leased record's payload, from `data` */
	uint64_t end[MOST_RECORDS]; /* bytes that committing up to this record gives back */
};

static inline void *map_or_die(int fd, size_t bytes, int protection, off_t offset)
{
	void *memory = mmap(NULL, bytes, protection, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, offset);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

/* A map that is pinned under `directory`. `value_size` 0: whatever it has. */
static inline int open_pin(const char *directory, const char *name, uint32_t value_size, uint32_t *max_entries)
{
	struct bpf_map_info info = { 0 };
	uint32_t length = sizeof(info);
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length))
		die(path);
	if (value_size && info.value_size != value_size) {
		fprintf(stderr, "%s: %u bytes, bpf/layout.h of this tree says %u\n", path, info.value_size, value_size);
		exit(1);
	}
	if (max_entries)
		*max_entries = info.max_entries;
	return fd;
}

static inline void open_ring(struct ring *ring, const char *directory)
{
	long page = sysconf(_SC_PAGESIZE);
	uint32_t size;
	char *records;

	ring->fd = open_pin(directory, "ring0", 0, &size);
	ring->size = size;
	ring->mask = ring->size - 1;
	ring->consumer = map_or_die(ring->fd, page, PROT_READ | PROT_WRITE, 0);
	records = map_or_die(ring->fd, page + 2 * ring->size, PROT_READ, page);
	ring->producer = (const uint64_t *)records;
	ring->data = records + page;
	ring->position = *ring->consumer;
}

static inline int lease(struct ring *ring, int budget)
{
	uint64_t ready = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE) - ring->position, scanned = 0;
	int count = 0;

	while (count < budget && scanned < ready) {
		uint64_t start = (ring->position + scanned) & ring->mask;
		uint32_t header = __atomic_load_n((uint32_t *)(ring->data + start), __ATOMIC_ACQUIRE);

		if (header & BPF_RINGBUF_BUSY_BIT)
			break;
		scanned += ((header & ~BPF_RINGBUF_DISCARD_BIT) + BPF_RINGBUF_HDR_SZ + 7) & ~7ULL;
		if (header & BPF_RINGBUF_DISCARD_BIT)
			continue;
		ring->offset[count] = start + BPF_RINGBUF_HDR_SZ;
		ring->end[count++] = scanned;
	}
	ring->leased = count;
	ring->scanned = scanned;
	return count;
}

static inline void commit(struct ring *ring, int count)
{
	uint64_t bytes = count >= ring->leased ? ring->scanned : count ? ring->end[count - 1] : 0;

	if (!bytes)
		return;
	ring->position += bytes;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(ring->consumer, ring->position, __ATOMIC_RELEASE);
}

static inline uint64_t available(const struct ring *ring)
{
	return __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE) - ring->position;
}

static inline bool is_empty(const struct ring *ring)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return available(ring) == 0;
}

#endif
