// SPDX-License-Identifier: MIT
/** Settings of vnet0 and its peer that follow from others, without a controller. */
import t, { type Test } from 'tap';

import { LinkSettingsKeeper, peerNetnsLinkParts, type SettingsParts } from '../../src/controller/link-settings';
import { Attempts } from '../../src/controller/supervisor';
import { type Link, linkByName } from '../../src/link/links';
import { Netns } from '../../src/link/netns';
import type { Attachment } from '../../src/state/store';
import { SLOW } from '../helpers/cli';
import { ok, okIn, testNetns } from '../helpers/netns';
import { cannotLoop } from '../helpers/supported';
import { xdpObject } from '../helpers/xdp';

t.setTimeout(60_000 * SLOW);

/** A pair that a keeper looks at, in a namespace of the test. */
class Pair {
  readonly log: string[] = [];
  private readonly keeper: LinkSettingsKeeper;
  private readonly parts: SettingsParts;
  private before: Link;

  constructor(
    t: Test,
    readonly name = testNetns(t),
    private readonly netns = Netns.named(name),
  ) {
    t.teardown(() => netns.close());
    okIn(name, 'ip', ['link', 'add', 'vnet0', 'mtu', '1500', 'type', 'veth', 'peer', 'name', 'other', 'mtu', '3072']);
    const log = (text: string): number => this.log.push(text);
    const attachment: Partial<Attachment> = {
      iface: 'vnet0',
      peer: this.link('other'),
      taken: null,
      rooms: [],
      superpacketBytes: 65536,
      hairpin: null,
    };
    this.parts = { attachment: attachment as Attachment, peerNetns: netns, attempts: new Attempts(log), log };
    this.keeper = new LinkSettingsKeeper(this.parts);
    this.before = this.link('vnet0');
    this.look();
    this.log.length = 0;
  }

  link(iface: string): Link {
    return this.netns.run(() => linkByName(iface)) as Link;
  }

  /** Not by `ip netns exec`: with XDP, `ip` wants the machine's own BPF file system. */
  set(...words: string[]): void {
    ok('nsenter', [`--net=/run/netns/${this.name}`, '--', 'ip', 'link', 'set', ...words]);
  }

  look(): void {
    const link = this.link('vnet0');
    this.keeper.look(link, this.before, this.netns);
    this.before = link;
  }

  /** What is found about the peer's MTU; it is repaired. */
  findings(): string[] {
    return peerNetnsLinkParts({ ...this.parts, mtuOfPeer: () => this.keeper.mtuOfPeer }).flatMap((part) => {
      const found = part.look();
      void found?.repair?.();
      return found && /mtu/.test(found.what) ? [found.what] : [];
    });
  }
}

t.test(
  'the peer keeps the MTU it was given when a native XDP program goes, and nobody is accused',
  { skip: cannotLoop() },
  (t) => {
    const pair = new Pair(t);
    pair.set('dev', 'vnet0', 'xdp', 'obj', xdpObject(t), 'sec', 'xdp');
    pair.set('vnet0', 'mtu', '9000');
    pair.look(); // sets it back
    pair.look();
    t.same([pair.link('vnet0').mtu, pair.link('other').mtu], [3506, 3506], 'both have what the program takes');
    t.same(pair.findings(), []);
    pair.set('dev', 'vnet0', 'xdp', 'off');
    t.same(pair.findings(), [], 'nobody has changed the peer');
    pair.set('other', 'mtu', '1400');
    t.same(pair.findings(), ['somebody changed the peer of vnet0 (mtu 1400)'], 'until somebody does');
    t.equal(pair.link('other').mtu, 3506, 'then it is put back');
    t.end();
  },
);

t.test('there is no fight about an MTU that a native XDP program does not take', { skip: cannotLoop() }, (t) => {
  const pair = new Pair(t);
  pair.set('dev', 'vnet0', 'xdp', 'obj', xdpObject(t), 'sec', 'xdp');
  for (let times = 0; times < 24; times++) {
    pair.set('vnet0', 'mtu', '9000');
    pair.look();
    t.same(pair.findings(), [], 'nobody is accused');
  }
  const count = (pattern: RegExp): number => pair.log.filter((line) => pattern.test(line)).length;
  t.same(
    [count(/mtu 3506 again, not 9000/), count(/keeps setting the mtu of vnet0 to 9000, .* in 1 min$/)],
    [20, 1],
    'then it is left alone, which is said once',
  );
  t.equal(pair.link('vnet0').mtu, 9000, 'as the other wants it');
  pair.set('dev', 'vnet0', 'xdp', 'off');
  pair.look();
  t.ok(pair.link('other').mtu >= 9000, 'and carried when the program has gone');
  t.end();
});
