// SPDX-License-Identifier: MIT
/**
 * Superpackets and checksums that are left to hardware, with hooks that know about neither: real TCP and UDP arrive
 * intact, whatever a hook does to single frames.
 */
import t, { type Test } from 'tap';

import { attachedIn, cannotRun, cliOk, SLOW, type Attached } from '../../helpers/cli';
import { hookFile } from '../../helpers/hook-file';
import { quietNetns, testNetns } from '../../helpers/netns';
import { snmpCounter } from '../../helpers/snmp';
import { scaled, tcpRun, withoutArp } from '../../helpers/traffic';
import { UdpPair } from '../../helpers/udp-pair';

t.setTimeout(300_000 * SLOW);

const V4 = '10.77.0.1';
const V6 = 'fd77::1';
const BYTES = scaled(8 << 20);

const HOOKS: Record<string, string> = {
  'looks only': `export default (frame) => { frame.tcp?.sequence; };`,
  'answers with the same bytes': `export default (frame) => frame.bytes;`,
  'answers with a copy': `export default (frame) => frame.copy();`,
  'answers with every third only': `let i = 0; export default (frame) => (i++ % 3 === 0 ? frame.bytes : 'pass');`,
  'loses one segment in a thousand': `let i = 0; export default (frame) => (frame.tcp && ++i % 1000 === 0 ? 'drop' : 'pass');`,
  'lets them pass whole': `export default { superpackets: 'whole', frame: () => 'pass' };`,
  'changes them whole': `export default { superpackets: 'whole', frame: (frame) => frame.bytes };`,
  'decrements the TTL': `import { fixChecksums } from 'vnet-bpf/hooks';
    export default (frame) => { const { bytes } = frame; if (frame.ipv4) bytes[22]--; if (frame.ipv6 && !frame.icmpv6) bytes[21]--; return fixChecksums(bytes); };`,
};

const balanced = (t: Test, { iface, netns }: Attached): void =>
  void t.match(cliOk(['stats', iface, '--netns', netns, '--check']), 'balanced', 'the frame accounting balances');

for (const [name, source] of Object.entries(HOOKS)) {
  t.test(`a hook that ${name}`, { skip: cannotRun }, async (t) => {
    const netns = testNetns(t);
    const nic = attachedIn(t, netns, [
      '--addr',
      `${V4}/24`,
      '--addr',
      `${V6}/64`,
      '--hook',
      hookFile(t, 'hook.mjs', source),
    ]);
    for (const address of [V4, V6]) {
      const { sent, received } = await tcpRun(t, netns, address, BYTES);
      t.same(
        { bytes: received.bytes, sha256: received.sha256 },
        { bytes: BYTES, sha256: sent.sha256 },
        `TCP to ${address}: what was sent arrives`,
      );
    }
    const udp = UdpPair.open(t, netns, V4);
    const payload = udp.send(1000 * 20, { segment: 1000 });
    const datagrams = await udp.receive(20);
    t.ok(Buffer.concat(datagrams).equals(payload), 'UDP in segments arrives in datagrams');
    const stats = await nic.atRest();
    t.comment(`largest ${stats.queue.largestFrame}, injected ${stats.hooks.injected}, dropped ${stats.hooks.dropped}`);
    t.equal(stats.hooks.errors, 0);
    balanced(t, nic);
    t.equal(snmpCounter(netns, 'Tcp', 'InCsumErrors'), 0, 'no wrong checksum arrived');
  });
}

t.test('a tag, a changed datagram, an answer: as a wire would carry them', { skip: cannotRun }, async (t) => {
  const netns = quietNetns(t);
  const source = `import { fixChecksums } from 'vnet-bpf/hooks';
    export default (frame) => { if (!frame.udp) return; const bytes = frame.bytes; bytes[bytes.length - 1] ^= 0xff; return fixChecksums(bytes); };`;
  const nic = attachedIn(t, netns, ['--addr', `${V4}/24`, '--hook', hookFile(t, 'hook.mjs', source)]);
  withoutArp(nic, V4);
  const udp = UdpPair.open(t, netns, V4);
  for (const bytes of [1, 2, 999, 1472]) {
    const sent = Buffer.from(udp.send(bytes));
    sent[bytes - 1] = (sent[bytes - 1] as number) ^ 0xff;
    t.ok((await udp.receive(1))[0]?.equals(sent), `${bytes} bytes, the last one changed`);
  }
  balanced(t, nic);
});
