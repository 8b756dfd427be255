// SPDX-License-Identifier: MIT
/** Which MTU the peer has, and which limits of superpackets the loop takes from others. */
import t from 'tap';

import type { LinkSettings } from '../../src/link/links';
import { loopableLimits, peerMtu, superpacketSegments } from '../../src/link/veth';
import { MAX_MTU } from '../../src/options/values';

const settings = (gsoMaxSize: number, gsoIpv4MaxSize: number | null): LinkSettings => ({
  gsoMaxSize,
  gsoIpv4MaxSize,
  gsoMaxSegs: 65535,
  maxMtu: MAX_MTU,
  master: 0,
  xdp: 'none',
  carrierDowns: 0,
  acceptLocal: true,
});

t.test(
  'the peer takes what vnet0 sends, and leaves a native XDP program its place as long as that is possible',
  async (t) => {
    for (const mtu of [68, 1280, 1500, 3072, 3073, 3506, 3507, 9000, 40_000, MAX_MTU]) {
      const peer = peerMtu(mtu);
      t.ok(peer >= mtu, `${mtu}: ${peer}`);
      t.equal(peer <= 3506, mtu <= 3506, 'small enough for XDP if vnet0 is');
    }
  },
);

t.test('where XDP limits the peer, it gets what it may have; what vnet0 has more cannot be', async (t) => {
  t.equal(peerMtu(1500, 3506), 3072);
  t.equal(peerMtu(3506, 3506), 3506);
  t.equal(peerMtu(9000, 3506), 3506, 'no more than it may have');
  t.equal(peerMtu(9000, 60_000), 60_000);
});

t.test('limits above what the loop carries are lowered, lower ones are the users to set', async (t) => {
  t.equal(loopableLimits(settings(65536, 262144), 262144), null);
  t.equal(loopableLimits(settings(20_000, 20_000), 262144), null);
  t.equal(loopableLimits(settings(65536, null), 65536), null, 'a kernel without a limit of IPv4');
  t.same(loopableLimits(settings(190_000, 262144), 262144), { gsoMaxSize: 65536, gsoIpv4MaxSize: 262144 });
  t.same(loopableLimits(settings(65536, 300_000), 262144), { gsoMaxSize: 65536, gsoIpv4MaxSize: 262144 });
  t.same(loopableLimits(settings(190_000, 20_000), 65536), { gsoMaxSize: 65536, gsoIpv4MaxSize: 20_000 });
  t.same(loopableLimits(settings(190_000, null), 65536), { gsoMaxSize: 65536 });
});

t.test('two segments of a huge MTU are more than a record holds', async (t) => {
  t.same([1500, 32767, 32768, MAX_MTU].map(superpacketSegments), [65535, 65535, 1, 1]);
});
