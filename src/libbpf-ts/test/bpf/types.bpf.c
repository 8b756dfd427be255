// SPDX-License-Identifier: MIT
// Every kind of type that maps and global variables can have.
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum color { RED, GREEN = 7, BLUE = -2 };
enum huge { SMALL = 1, TOP = 0xffffffffffffffffULL, ABOVE = 0x8000000000000001ULL };
enum below { LOWEST = -0x7fffffffffffffffLL - 1, NONE = 0 };

struct inner {
	__u8 a;
	__u32 b;
};

typedef struct {
	__s16 x, y;
} point_t;

struct scalars {
	__s8 i8;
	__u8 u8;
	__s16 i16;
	__u16 u16;
	__s32 i32;
	__u32 u32;
	__s64 i64;
	__u64 u64;
	bool flag;
	char letter;
	enum color color;
	enum huge huge;
	enum below below;
	void *address;
	struct inner *linked;
	int (*call)(int);
};

struct floats {
	float f;
	double d;
	__int128 wide;
	unsigned __int128 uwide;
};

struct bitfields {
	__u32 a : 3;
	__u32 b : 7;
	__s32 c : 5;
	__u32 : 4;
	__s32 d : 13;
	__u64 e : 40;
	__s64 f : 23;
	__u64 g : 64;
	bool h : 1;
	__u8 i : 2;
	enum color j : 4;
	__u16 k;
};

struct __attribute__((packed)) packed {
	__u8 a;
	__u64 b;
	__u32 c : 9;
	__u32 d : 20;
	__s32 e : 30;
	__u16 f;
};

struct arrays {
	char text[16];
	unsigned char mac[6];
	__s8 signs[3];
	__u16 ports[3];
	__u64 words[2];
	__u32 grid[2][3];
	bool flags[2];
	enum color colors[2];
	struct inner inners[2];
	point_t points[2];
	__u32 none[0];
	__u8 last;
};

union number {
	__u32 word;
	__u16 halves[2];
	__u8 bytes[4];
	float real;
};

struct nested {
	struct inner inner;
	union number number;
	struct {
		__u16 left, right;
	} unnamed;
	union {
		__u64 whole;
		struct {
			__u32 low;
			__u32 high;
		};
		bool truth;
	};
	struct {
		__u8 deep;
		union {
			__u8 one;
			__s8 other;
		};
	};
	enum { UNNAMED_A, UNNAMED_B } kind;
	point_t point;
};

struct flexible {
	__u32 count;
	__u8 tag;
	__u16 items[];
};

struct empty {};

/* As the kernel's CACHELINE_PADDING(). */
struct padding {
	char x[0];
};

struct padded {
	__u32 first;
	struct padding pad;
	__u32 second;
	struct flexible inner[2];
	struct flexible last;
};

/* Names that mean something in TypeScript. */
struct class {
	__u32 class, delete, function, new, package, import, constructor, toString, __proto__, readonly, get, set;
	struct empty empty;
};

struct Object {
	__u32 await;
};
enum string { any, never };
union c {
	__u32 Input;
};

#define MAP(name, key_type, value_type)                  \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_HASH);         \
		__uint(max_entries, 8);                  \
		__type(key, key_type);                   \
		__type(value, value_type);               \
	} name SEC(".maps")

MAP(scalars, __u32, struct scalars);
MAP(floats, __u32, struct floats);
MAP(bitfields, __u32, struct bitfields);
MAP(packed, __u32, struct packed);
MAP(arrays, __u32, struct arrays);
MAP(nested, __u32, struct nested);
MAP(padded, __u32, struct padded);
MAP(delete, struct inner, struct class);
MAP(package, union c, struct Object);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, point_t);
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__uint(key_size, 3);
	__uint(value_size, 5);
} untyped SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct flexible);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} tagged SEC(".maps") __attribute__((btf_decl_tag("record:inner")));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} unnamed_record SEC(".maps");

const volatile struct nested settings;
const volatile char greeting[8] = "hi";
const volatile __u32 threshold = 5;
static volatile enum string words;
__u64 packets;
struct arrays latest;
__u32 tuned = 3;
union number last = { .word = 1 };
__u32 apart SEC(".data.apart") = 4;
static volatile __u32 hidden = 1;

/* Makes clang describe the type. */
struct scalars *described;

extern int LINUX_KERNEL_VERSION __kconfig;

SEC("socket")
int fill(struct __sk_buff *skb)
{
	struct flexible *record = bpf_ringbuf_reserve(&ring, sizeof(*record) + 4, 0);
	struct inner *inner;

	bpf_printk("version %d", LINUX_KERNEL_VERSION);
	__sync_fetch_and_add(&packets, 1);
	tuned += apart + hidden + words + threshold;
	latest.text[0] = greeting[0];
	latest.ports[2] = settings.unnamed.right;
	last.word = settings.low;
	if (record) {
		record->count = 2;
		record->tag = 9;
		((__u8 *)record)[6] = 1;
		((__u8 *)record)[7] = 2;
		((__u8 *)record)[8] = 3;
		((__u8 *)record)[9] = 4;
		bpf_ringbuf_submit(record, 0);
	}
	inner = bpf_ringbuf_reserve(&tagged, sizeof(*inner), 0);
	if (inner) {
		inner->a = 1;
		inner->b = 2;
		bpf_ringbuf_submit(inner, 0);
	}
	return described ? 1 : 0;
}

/* A name that is a word of TypeScript. */
SEC("xdp")
int with(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
