// SPDX-License-Identifier: MIT
/**
 * Frames whose headers and virtio_net_hdr lie, as any process with CAP_NET_RAW can send them, through a hook that
 * filters traffic: its thread survives, and nothing forbidden is received: N2 of docs/SECURITY.md.
 */
import t from 'tap';

import { ethernet, ipv4, ipv6, tcp, udp } from '../../src/packet';
import { GSO } from '../../src/packet/offload';
import { attachedIn, cannotRun, cliOk, SLOW } from '../helpers/cli';
import { eventually } from '../helpers/controller';
import { virtioHeader } from '../helpers/fuzz-records';
import { hookFile } from '../helpers/hook-file';
import { quietNetns } from '../helpers/netns';
import { RawSocket } from '../helpers/raw-socket';

t.setTimeout(120_000 * SLOW);

const LINK = { source: '02:00:00:00:0e:07', destination: '02:00:00:00:0e:08' };
const V4 = { source: '10.77.0.7', destination: '10.77.0.8' };
const V6 = { source: 'fd77::7', destination: 'fd77::8' };
const ALLOWED = 53;
const FORBIDDEN = 666;
const MARK = { [ALLOWED]: 'may pass', [FORBIDDEN]: 'must not' } as const;
type Port = keyof typeof MARK;

const source = (superpackets: string): string => `export default {
  superpackets: '${superpackets}',
  frame: (frame) => (frame.bytes.length && (frame.tcp ?? frame.udp)?.destinationPort === ${ALLOWED} ? 'pass' : 'drop'),
};`;

const segment = (port: Port, bytes: number): Buffer =>
  Buffer.from(
    ethernet(
      LINK,
      ipv4(V4, tcp({ sourcePort: 7, destinationPort: port, sequence: 1, flags: 16 }, Buffer.alloc(bytes, MARK[port]))),
    ),
  );
const datagram = (port: Port): Buffer =>
  Buffer.from(ethernet(LINK, ipv4(V4, udp({ sourcePort: 7, destinationPort: port }, Buffer.alloc(64, MARK[port])))));

/** Frames with their virtio_net_hdr; some of them the kernel itself refuses. */
function lies(port: Port): [string, Buffer, Buffer][] {
  const all: [string, Buffer, Buffer][] = [];
  for (let words = 0; words < 16; words++) {
    for (const gsoSize of [4, 100, 60000]) {
      const frame = segment(port, 146);
      frame[46] = words << 4;
      all.push([`data offset ${words}, segments of ${gsoSize}`, frame, virtioHeader(1, GSO.tcpv4, gsoSize, 34, 16)]);
    }
  }
  const long = segment(port, 1000);
  long.writeUInt16BE(60_000, 16);
  all.push(['IP longer than the frame', long, virtioHeader(1, GSO.tcpv4, 100, 34, 16)]);
  const short = segment(port, 1000);
  short.writeUInt16BE(60, 16);
  all.push(['IP shorter than the frame', short, virtioHeader(1, GSO.tcpv4, 100, 34, 16)]);
  all.push(['UDP that says TCP', datagram(port), virtioHeader(1, GSO.tcpv4, 10, 34, 16)]);
  for (const [start, offset] of [
    [34, 2],
    [34, 0],
    [26, 4],
    [14, 2],
    [0, 12],
    [34, 70],
    [60000, 6],
  ] as const) {
    all.push([`a checksum at ${start} + ${offset}`, datagram(port), virtioHeader(1, 0, 0, start, offset)]);
  }
  const inner = Buffer.concat([
    Buffer.from([17, 0, 1, 4, 0, 0, 0, 0]),
    udp({ sourcePort: 7, destinationPort: port }, Buffer.alloc(64, MARK[port])).bytes,
  ]);
  const jumbo = Buffer.from(ethernet(LINK, ipv6(V6, { protocol: 0, bytes: inner })));
  jumbo.writeUInt16BE(0, 18);
  all.push(['IPv6 of length 0 with hop-by-hop options', jumbo, virtioHeader(0, 0, 0, 0, 0)]);
  return all;
}

for (const superpackets of ['segmented', 'whole']) {
  t.test(`N2: a hook that sees superpackets ${superpackets}`, { skip: cannotRun }, async (t) => {
    const nic = attachedIn(t, quietNetns(t), [
      '--hook',
      hookFile(t, 'firewall.mjs', source(superpackets)),
      '--on-hook-error',
      'drop',
    ]);
    const sender = RawSocket.open(t, nic.netns, nic.iface, { vnetHeader: true });
    const receiver = RawSocket.open(t, nic.netns, nic.iface);
    let accepted = 0;
    for (const [, frame, vnet] of [...lies(FORBIDDEN), ...lies(ALLOWED)])
      if (sender.trySend(Buffer.concat([vnet, frame])) === 0) accepted++;
    t.ok(accepted > 40, `the kernel takes ${accepted} of them from a socket`);
    const probe = datagram(ALLOWED);
    sender.send(Buffer.concat([virtioHeader(0, 0, 0, 0, 0), probe]));
    const received: Buffer[] = [];
    const came = (): boolean => {
      received.push(
        ...receiver
          .captured()
          .filter(({ direction }) => direction !== 'outgoing')
          .map(({ frame }) => frame),
      );
      return received.some((frame) => frame.equals(probe));
    };
    t.ok(await eventually(came), 'what is sent after them is received');
    t.equal(received.filter((frame) => frame.includes(MARK[FORBIDDEN])).length, 0, 'nothing forbidden is');
    const stats = await nic.atRest();
    t.equal(stats.hooks.errors, 0, 'the hook has not failed');
    t.ok(stats.hooks.dropped > 0);
    t.equal(stats.reinject.retries, 0, 'none has held up those behind it');
    t.comment(`refused: ${JSON.stringify(stats.refused)}`);
    t.match(cliOk(['stats', nic.iface, '--netns', nic.netns, '--check']), 'balanced');
  });
}
