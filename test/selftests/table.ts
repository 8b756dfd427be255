// SPDX-License-Identifier: MIT
// The selftests: how each is built, and how it is run on one interface. Most of them talk to themselves over the
// loopback device; they are made to do it over the interface by edits of their copies and by on-the-interface.h.
import type { Exception } from './compare';
import type { Form } from './output';

export interface Program {
  /** Below tools/testing/selftests/net. */
  readonly source: string;
  /** What is replaced in a copy of it; each has to match. */
  readonly edits?: readonly (readonly [string, string])[];
  /** Its loopback addresses become $A4 and $A6. */
  readonly onInterface?: boolean;
  readonly libraries?: readonly string[];
}

export interface Step {
  readonly name: string;
  /** Lines of bash, in the namespace and the directory of the programs, with $IFACE, $MAC, $A4, $B4, $A6, $B6. */
  readonly run: string;
}

export interface Selftest {
  readonly name: string;
  readonly programs: readonly Program[];
  readonly steps: readonly Step[];
  /** How a step says what passed; its exit code unless told otherwise. */
  readonly form?: Form;
  /** Name of the interface, where the test looks only at some. */
  readonly iface?: string;
  readonly mtu?: number;
  /**
   * False: the control's far end segments nothing, without which a veth does not receive through NAPI, and so not
   * through GRO.
   */
  readonly farTso?: boolean;
  /** More options of `attach`. */
  readonly attachOptions?: readonly string[];
  /** False: the interface has no addresses. */
  readonly addresses?: boolean;
  /** Lines of bash before each step. */
  readonly prepare?: string;
  /** How often a step may be run until it passes, where the kernel's own script repeats it. */
  readonly tries?: number;
}

const loopbackDevice = ['"lo"', '"vnet0"'] as const;
/** psock_snd leaves Ethernet addresses zero, which the loopback device does not mind. */
const mac = '"\\x02\\0\\0\\0\\0\\x77"';
const withAddresses = [
  [
    'struct ethhdr *eth = header;',
    `struct ethhdr *eth = header; memcpy(eth->h_dest, ${mac}, 6); memcpy(eth->h_source, ${mac}, 6);`,
  ],
  [
    'laddr.sll_protocol = htons(ETH_P_IP);',
    `laddr.sll_protocol = htons(ETH_P_IP); laddr.sll_halen = 6; memcpy(laddr.sll_addr, ${mac}, 6);`,
  ],
] as const;
const families = [4, 6] as const;
const step = (name: string, run: string): Step => ({ name, run });
const plain = (name: string): Step => step(name, `./${name}`);
/** Waits for a condition, 5 s at most. */
const until = (condition: string): string => `for i in {1..100}; do ${condition} && break; sleep 0.05; done`;
const listening = (port: number): string => until(`ss -Hln | grep -q :${port}`);
const hasPacketSocket = until('[ $(wc -l </proc/net/packet) -gt 1 ]');
/** A receiver in the background, ready before the sender starts; both have to succeed. */
const pair = (receiver: string, ready: string, sender: string): string =>
  `${receiver} & receiver=$!\n${ready}\n${sender} || failed=1\nwait $receiver && [ -z "$failed" ]`;
const combine = <A, B>(some: readonly A[], others: readonly B[]): [A, B][] =>
  some.flatMap((one) => others.map((other): [A, B] => [one, other]));

/** As in drivers/net/hw/csum.py. */
const csum = combine(families, [
  ['receive TCP', '-n 100 -r 1 -t'],
  ['receive invalid TCP', '-n 100 -r 1 -t -E'],
  ['receive UDP', '-n 100 -r 1'],
  ['receive invalid UDP', '-n 100 -r 1 -E'],
  ['transmit UDP', '-n 100 -L 1 -r 1 -U'],
  ['transmit UDP that sums up to zero', '-n 100 -L 1 -U -Z'],
  ['transmit UDP without a checksum', '-n 100 -r 1 -U -z'],
  ['transmit TCP by a packet socket', '-n 100 -r 1 -P -t -s $MAC -d $MAC'],
  ['transmit UDP by a packet socket', '-n 100 -r 1 -P -s $MAC -d $MAC'],
  ['transmit encapsulated TCP', '-n 100 -r 1 -P -t -e -s $MAC -d $MAC'],
] as const).map(([family, [name, args]]) => {
  const run = `./csum -i $IFACE -${family} -S $A${family} -D $B${family} ${args}`;
  // Nothing on the way completes a checksum, and the receiver leaves incomplete ones out.
  const offload = name.startsWith('transmit') ? 'off' : 'on';
  return step(
    `IPv${family}: ${name}`,
    `ethtool -K $IFACE tx ${offload} >/dev/null\n${pair(`${run} -R`, `${listening(34000)}; ${hasPacketSocket}`, `${run} -T`)}`,
  );
});

/** As in gro.sh, over one interface: the receiver listens to the protocol, and so does not see what is sent. */
const gro = combine(families, ['data', 'ack', 'flags', 'tcp', 'ip', 'large']).map(([family, test]) => {
  const run = `./gro --ipv${family} --iface $IFACE --smac 02:00:00:00:00:78 --dmac $MAC --test ${test}`;
  return step(`IPv${family}: ${test}`, pair(`${run} --rx`, hasPacketSocket, run));
});

/** As in udpgso.sh. */
const udpgso = [
  ...combine(families, [
    ['control message', '-C'],
    ['socket option', '-C -s'],
    ['MSG_MORE', '-C -m'],
  ] as const).map(([family, [name, args]]) => step(`IPv${family}: ${name}`, `./udpgso -${family} ${args}`)),
  ...families.map((family) => step(`IPv${family}: connected`, `./udpgso -${family} -c`)),
];

/** As in udpgso_bench.sh. The receiver runs until it is interrupted, and says once a second what it has got. */
const udpgsoBench = combine(families, [
  ['TCP', '-t'],
  ['TCP, zero copy', '-t -z'],
  ['UDP', ''],
  ['GSO', '-S 0'],
  ['GSO, zero copy', '-S 0 -z'],
  ['GSO, time stamps', '-S 0 -T'],
  ['GSO, zero copy, audit', '-S 0 -z -a'],
  ['GSO, time stamps, audit', '-S 0 -T -a'],
  ['GSO, zero copy, time stamps, audit', '-S 0 -T -z -a'],
] as const)
  .filter(([family, [, args]]) => family === 4 || !args.includes('-z'))
  .map(([family, [name, args]]) =>
    step(
      `IPv${family}: ${name}`,
      `./udpgso_bench_rx -p 8000 ${args.includes('-t') ? '-t' : ''} & receiver=$!
${listening(8000)}
./udpgso_bench_tx -p 8000 -l 1 -${family} -D $A${family} ${args} || failed=1
sleep 0.3; kill -INT $receiver; wait $receiver && [ -z "$failed" ]`,
    ),
  );

/** As in txtimestamp.sh, without netem: timestamps come at once, or up to 50 ms later on a busy machine. */
const txtimestamp = combine(
  [
    ['', ''],
    [', control message', '-C'],
    [', no data', '-n'],
  ] as const,
  combine(
    [
      ['TCP', ''],
      ['UDP', '-u'],
      ['raw', '-r'],
      ['raw with its header', '-R'],
      ['packet socket', '-P'],
    ] as const,
    families,
  ),
).map(([[how, option], [[protocol, args], family]]) =>
  step(
    `IPv${family}: ${protocol}${how}`,
    `./txtimestamp ${option} ${args} -c 2 -v 0 -V 0 -t 50000 -S 60000 -${family} -L $A${family}`,
  ),
);

/** As in msg_zerocopy.sh; of what packet sockets send the receiver reads raw packets. */
const msgZerocopy = combine(families, [
  'tcp',
  'tcp -z',
  'udp',
  'udp -z',
  'raw',
  'raw_hdrincl',
  'packet',
  'packet_dgram',
])
  .filter(([family, mode]) => family === 4 || mode !== 'raw_hdrincl')
  .map(([family, words]) => {
    const [mode = '', option = ''] = words.split(' ');
    const run = (seconds: number, cpu: number): string =>
      `./msg_zerocopy -${family} -i $IFACE -t ${seconds} -C ${cpu} -S $A${family} -D $B${family} ${option}`;
    const receive = ['packet', 'packet_dgram', 'raw_hdrincl'].includes(mode) ? 'raw' : mode;
    return step(
      `IPv${family}: ${words}`,
      pair(`${run(1, 0)} -r ${receive}`, mode === 'tcp' ? listening(8000) : 'sleep 0.2', `${run(0, 1)} ${mode}`),
    );
  });

/** As in psock_snd.sh. */
const psockSnd = [
  ...(
    [
      ['dgram', '-d'],
      ['dgram bind', '-d -b'],
      ['raw', ''],
      ['raw bind', '-b'],
      ['raw qdisc bypass', '-q'],
      ['raw vlan', '-V'],
      ['raw vnet hdr', '-v'],
      ['raw csum_off', '-v -c'],
      ['raw min size', '-l 0'],
      ['raw mtu size', '-l 1472'],
      ['dgram mtu size', '-d -l 1472'],
      ['raw gso min size', '-v -c -g -l 1473'],
      ['raw gso max size', '-v -c -g -l 65507'],
    ] as const
  ).map(([name, args]) => step(name, `./psock_snd ${args}`)),
  ...(
    [
      ['raw csum_off with bad offset', '-v -c -C'],
      ['raw mtu size + 1', '-l 1473'],
      ['raw vlan mtu size + 1', '-V -l 1473'],
      ['dgram mtu size + 1', '-d -l 1473'],
      ['raw truncate hlen', '-t 24'],
      ['raw truncate hlen - 1', '-t 23'],
      ['raw gso max size + 1', '-v -c -g -l 65508'],
    ] as const
  ).map(([name, args]) => step(`${name} is refused`, `! ./psock_snd ${args}`)),
];

export const selftests: readonly Selftest[] = [
  // The receiver waits out its time.
  {
    name: 'csum',
    programs: [{ source: 'lib/csum.c', edits: [['cfg_timeout_ms = 2000', 'cfg_timeout_ms = 600']] }],
    steps: csum,
  },
  {
    name: 'gro',
    // Pauses that let the packets of one part arrive before those of the next.
    programs: [{ source: 'gro.c', edits: [['sleep(1);', 'usleep(200000);']] }],
    steps: gro,
    addresses: false,
    mtu: 9000,
    farTso: false,
    // While the poller merges frames, GRO of UDP is put back: docs/coexistence.md.
    attachOptions: ['--gro', 'off'],
    // The last one has a veth receive through NAPI what a packet socket has sent, whatever its peer can do.
    prepare:
      'ethtool -K $IFACE gro on tso off rx-udp-gro-forwarding on; echo 1000000 >/sys/class/net/$IFACE/gro_flush_timeout; echo 1 >/sys/class/net/$IFACE/napi_defer_hard_irqs',
    tries: 3,
  },
  { name: 'udpgso', programs: [{ source: 'udpgso.c' }], steps: udpgso },
  {
    name: 'udpgso_bench',
    programs: [{ source: 'udpgso_bench_rx.c' }, { source: 'udpgso_bench_tx.c' }],
    steps: udpgsoBench,
  },
  { name: 'txtimestamp', programs: [{ source: 'txtimestamp.c' }], steps: txtimestamp },
  // Datagrams as long as they may be, in one frame.
  { name: 'msg_zerocopy', programs: [{ source: 'msg_zerocopy.c' }], steps: msgZerocopy, mtu: 65535 },
  {
    name: 'psock_snd',
    programs: [
      { source: 'psock_lib.h' },
      {
        source: 'psock_snd.c',
        edits: [loopbackDevice, ['dev lo', 'dev vnet0'], ['conf.lo.', 'conf.vnet0.'], ...withAddresses],
      },
    ],
    steps: psockSnd,
    prepare: 'ip addr del 172.17.0.1/24 dev $IFACE 2>/dev/null',
  },
  {
    name: 'psock_tpacket',
    programs: [{ source: 'psock_tpacket.c', edits: [loopbackDevice], onInterface: true }],
    steps: [plain('psock_tpacket')],
  },
  {
    name: 'psock_fanout',
    programs: [{ source: 'psock_fanout.c', edits: [loopbackDevice], onInterface: true }],
    steps: [plain('psock_fanout')],
  },
  {
    name: 'ip_defrag',
    mtu: 9000,
    // Overlapping fragments take a second each.
    programs: [
      {
        source: 'ip_defrag.c',
        edits: [
          ['INADDR_LOOPBACK + 2', 'INADDR_LOOPBACK + 1'],
          ['(rand() % 4096)', '(rand() % 4096) * (cfg_overlap ? 4 : 1)'],
        ],
        onInterface: true,
      },
    ],
    prepare:
      'sysctl -qw net.ipv4.ipfrag_high_thresh=9000000 net.ipv4.ipfrag_low_thresh=7000000 net.ipv4.ipfrag_time=1 net.ipv6.ip6frag_high_thresh=9000000 net.ipv6.ip6frag_low_thresh=7000000 net.ipv6.ip6frag_time=1',
    steps: combine(families, [
      ['', ''],
      [' with overlaps', 'o'],
    ] as const).map(([family, [name, option]]) => step(`IPv${family}${name}`, `./ip_defrag -${family}${option}`)),
  },
  {
    name: 'tcp_mmap',
    // 256 MB in place of 32 GB.
    programs: [{ source: 'tcp_mmap.c', edits: [['1ULL << 35', '1ULL << 28']], libraries: ['crypto'] }],
    steps: combine(families, [
      ['', ''],
      [', zero copy', '-z'],
      [', integrity', '-z -i'],
    ] as const).map(([family, [name, args]]) =>
      step(
        `IPv${family}${name}`,
        `./tcp_mmap -s -${family} ${args} -H $A${family} &\n${listening(8787)}\n./tcp_mmap -${family} ${args} -H $A${family}`,
      ),
    ),
  },
  {
    name: 'reuseport',
    programs: [
      { source: 'reuseport_bpf.c', onInterface: true },
      { source: 'reuseport_bpf_cpu.c', onInterface: true },
      { source: 'reuseport_dualstack.c', onInterface: true },
      {
        source: 'reuseport_addr_any.c',
        edits: [
          ['"127.0.0.1"', '"10.0.0.1"'],
          ['"::1"', '"fd00::1"'],
          ['::ffff:127.0.0.1', '::ffff:10.0.0.1'],
        ],
      },
    ],
    steps: ['reuseport_bpf', 'reuseport_bpf_cpu', 'reuseport_dualstack', 'reuseport_addr_any'].map(plain),
  },
  {
    name: 'netdevice',
    programs: [{ source: 'netdevice.sh' }],
    steps: [step('netdevice.sh', 'ip link set $IFACE down; ./netdevice.sh')],
    form: 'lines',
    iface: 'eth7',
    addresses: false,
  },
];

/** Fails on vnet0 alone, and may. */
export const exceptions: readonly Exception[] = [
  {
    test: 'csum',
    result: /by a packet socket|encapsulated/,
    reason:
      'with `tx off` the kernel completes a checksum behind the TC egress (validate_xmit_skb): the loop carries it incomplete, as a veth with `tx on` does, and the receiving stack takes it',
  },
  {
    test: 'psock_snd',
    result: /^raw qdisc bypass$/,
    reason: 'PACKET_QDISC_BYPASS passes by the TC egress: docs/architecture.md, Known limits',
  },
  {
    test: 'reuseport',
    result: /^reuseport_bpf_cpu$/,
    reason:
      'expects frames to be received on the CPU that sent them: on vnet0 it is the CPU of the poller, as it is that of the queue on a NIC',
  },
];

/** Networking selftests that a reader may look for here. */
export const leftOut: readonly { readonly name: string; readonly reason: string }[] = [
  {
    name: 'big_tcp.sh',
    reason:
      'makes veth pairs of its own and needs netperf, which is not in Debian main; test/kernel/matrix-big-tcp.test.ts is about the same on vnet0',
  },
  { name: 'reuseport_bpf_numa', reason: 'is about NUMA nodes, not about an interface' },
  { name: 'ip_defrag with nf_conntrack', reason: 'needs ip6tables' },
];
