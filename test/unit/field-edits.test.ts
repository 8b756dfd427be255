// SPDX-License-Identifier: MIT
/** The fields that a debugger changes: what their values are, where they lie, and what is no value. */
import t, { type Test } from 'tap';

import { arp, ethernet, icmp, icmpv6, ipv4, ipv6, tcp, udp } from '../../src/packet/build';
import { editableFields, editField } from '../../src/packet/field-edits';
import { Frame } from '../../src/packet/frame';
import { TCP_FLAG } from '../../src/packet/headers';
import { fixChecksums, preparePartialChecksum } from '../../src/packet/offload';
import { onesComplement } from '../helpers/ones-complement';

const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
const IPV4 = { source: '10.77.0.1', destination: '10.77.0.2' };
const IPV6 = { source: 'fd00::1', destination: 'fd00::2' };
const PORTS = { sourcePort: 1234, destinationPort: 80 };
const PAYLOAD = Buffer.from('hello, world!');
const SYN = tcp({ ...PORTS, sequence: 4_000_000_000, flags: TCP_FLAG.syn, window: 512 }, PAYLOAD);

const valuesOf = (frame: Uint8Array): Record<string, string> =>
  Object.fromEntries(editableFields(frame).map(({ name, value }) => [name, value]));

/** Sets each field to a value; each is then as it was set, the others are as before, and the checksums are right. */
function setAll(t: Test, frame: Uint8Array, values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) {
    const edited = Uint8Array.from(frame);
    editField(edited, name, value);
    fixChecksums(edited);
    t.same(valuesOf(edited), { ...valuesOf(frame), [name]: value }, `${name} ${value}`);
    t.equal(onesComplement(edited), 0xffff, 'its checksum is right');
    const { from, to } = editableFields(frame).find((field) => field.name === name) as { from: number; to: number };
    const outside = [...edited.keys()].filter((i) => edited[i] !== frame[i] && (i < from || i >= to));
    t.ok(outside.length <= 4, `nothing else but two checksums changes: ${outside.join()}`);
  }
}

t.test('the fields of TCP and IPv4', async (t) => {
  const frame = ethernet(LINK, ipv4(IPV4, SYN));
  t.same(valuesOf(frame), {
    'mac-destination': LINK.destination,
    'mac-source': LINK.source,
    ttl: '64',
    source: IPV4.source,
    destination: IPV4.destination,
    'source-port': '1234',
    'destination-port': '80',
    sequence: '4000000000',
    acknowledgment: '0',
    flags: 'SYN',
    window: '512',
  });
  setAll(t, frame, {
    'mac-destination': 'ff:ff:ff:ff:ff:ff',
    'mac-source': '02:00:00:00:00:99',
    ttl: '1',
    source: '192.168.100.200',
    destination: '255.255.255.255',
    'source-port': '65535',
    'destination-port': '0',
    sequence: '4294967295',
    acknowledgment: '305419896',
    flags: 'FIN SYN RST PSH ACK URG ECE CWR',
    window: '0',
  });
});

t.test('the fields of UDP, ICMP and ICMPv6, over IPv6 and behind a VLAN tag', async (t) => {
  setAll(t, ethernet(LINK, ipv6(IPV6, udp(PORTS, PAYLOAD))), {
    ttl: '255',
    source: '2001:db8::7',
    destination: 'ff02::1',
    'source-port': '53',
  });
  setAll(t, ethernet(LINK, ipv4(IPV4, icmp(8, 0, 0x12340007, PAYLOAD))), {
    type: '0',
    code: '9',
    identifier: '77',
    sequence: '65535',
  });
  setAll(t, ethernet(LINK, ipv6(IPV6, icmpv6(128, 0, 1))), { code: '3', sequence: '2' });
  const tagged = ethernet({ ...LINK, vlan: { id: 7 } }, ipv4(IPV4, SYN));
  editField(tagged, 'ttl', '3');
  t.equal(Frame.of(tagged).ipv4?.ttl, 3);
});

t.test('a frame whose checksum was left to the NIC', async (t) => {
  for (const [of, frame] of [
    ['TCP over IPv4', ethernet(LINK, ipv4(IPV4, SYN))],
    ['UDP over IPv6', ethernet(LINK, ipv6(IPV6, udp(PORTS, PAYLOAD)))],
  ] as const) {
    preparePartialChecksum(frame);
    t.not(onesComplement(frame), 0xffff, 'it is not complete');
    editField(frame, 'destination-port', '8080');
    t.equal(onesComplement(fixChecksums(frame)), 0xffff, of);
  }
});

t.test('values in other forms', async (t) => {
  const frame = ethernet(LINK, ipv4(IPV4, SYN));
  editField(frame, 'ttl', ' 0x10 ');
  editField(frame, 'flags', 'ack, psh');
  t.match(valuesOf(frame), { ttl: '16', flags: 'PSH ACK' });
  editField(frame, 'flags', 'none');
  t.equal(valuesOf(frame)['flags'], 'none');
});

t.test('what is no value changes nothing, and the error says what to type', async (t) => {
  const frame = ethernet(LINK, ipv4(IPV4, SYN));
  const before = Buffer.from(frame).toString('hex');
  for (const [name, value, hint] of [
    ['ttl', '256', /from 0 to 255/],
    ['ttl', '-1', /from 0 to 255/],
    ['ttl', '', /from 0 to 255/],
    ['ttl', '1e1', /from 0 to 255/],
    ['source-port', '65536', /65535/],
    ['sequence', '4294967296', /4294967295/],
    ['source', 'fd00::1', /10\.77\.0\.1/],
    ['source', '10.77.0', /10\.77\.0\.1/],
    ['mac-source', '02:00', /02:00:00:00:00:01/],
    ['flags', 'SYN OK', /SYN ACK/],
    ['tll', '1', /did you mean ttl\?/],
    ['constructor', '1', /fields: /],
    ['identifier', '1', /it has mac-destination, .*, window$/],
  ] as const)
    t.throws(() => editField(frame, name, value), { code: 'USAGE', hint }, `${name} ${value}`);
  t.throws(() => editField(ethernet(LINK, ipv6(IPV6, SYN)), 'source', '10.77.0.1'), { code: 'USAGE', hint: /fd00::1/ });
  t.equal(Buffer.from(frame).toString('hex'), before);
});

t.test('frames of which little is there', async (t) => {
  t.same(editableFields(new Uint8Array(0)), []);
  t.same(editableFields(new Uint8Array(13)), []);
  t.same(Object.keys(valuesOf(new Uint8Array(14))), ['mac-destination', 'mac-source']);
  const question = arp({
    operation: 1,
    senderMac: LINK.source,
    senderIp: IPV4.source,
    targetMac: '00:00:00:00:00:00',
    targetIp: IPV4.destination,
  });
  t.same(Object.keys(valuesOf(ethernet(LINK, question))), ['mac-destination', 'mac-source']);
  const whole = ethernet(LINK, ipv4(IPV4, SYN));
  for (let length = 0; length <= whole.length; length++)
    for (const { name, value, to } of editableFields(whole.subarray(0, length))) {
      t.ok(to <= length, `${name} of ${length} bytes`);
      const part = whole.slice(0, length);
      editField(part, name, value);
      t.same(part, whole.slice(0, length), 'its own value changes nothing');
    }
});
