// SPDX-License-Identifier: MIT
/** Settings of vnet0 and its peer that follow from others, without a controller. */
import t from 'tap';

import { LinkSettingsKeeper, peerNetnsLinkParts } from '../../src/controller/link-settings';
import { Attempts } from '../../src/controller/supervisor';
import { type Link, linkByName } from '../../src/link/links';
import { Netns } from '../../src/link/netns';
import type { Attachment } from '../../src/state/store';
import { SLOW } from '../helpers/cli';
import { ok, okIn, testNetns } from '../helpers/netns';
import { cannotLoop } from '../helpers/supported';
import { xdpObject } from '../helpers/xdp';

t.setTimeout(60_000 * SLOW);

t.test(
  'the peer keeps the MTU it was given when a native XDP program goes, and nobody is accused',
  { skip: cannotLoop() },
  (t) => {
    const name = testNetns(t);
    const object = xdpObject(t);
    okIn(name, 'ip', ['link', 'add', 'vnet0', 'mtu', '1500', 'type', 'veth', 'peer', 'name', 'other', 'mtu', '3072']);
    using netns = Netns.named(name);
    const linkOf = (iface: string): Link => netns.run(() => linkByName(iface)) as Link;
    const [first, peer] = [linkOf('vnet0'), linkOf('other')];
    const log: string[] = [];
    const say = (text: string): number => log.push(text);
    const attachment = { iface: 'vnet0', peer, taken: null, rooms: [], superpacketBytes: 65536, hairpin: null };
    const parts = {
      attachment: attachment as unknown as Attachment,
      peerNetns: netns,
      attempts: new Attempts(say),
      log: say,
    };
    const keeper = new LinkSettingsKeeper(parts);
    let before = first;
    const look = (): void => {
      const link = linkOf('vnet0');
      keeper.look(link, before, netns);
      before = link;
    };
    const findings = (): string[] =>
      peerNetnsLinkParts({ ...parts, mtuOfPeer: () => keeper.mtuOfPeer }).flatMap((part) => {
        const found = part.look();
        void found?.repair?.();
        return found && /mtu/.test(found.what) ? [found.what] : [];
      });
    const ip = (...args: string[]): string =>
      ok('nsenter', [`--net=/run/netns/${name}`, '--', 'ip', 'link', 'set', ...args]);
    look();
    ip('dev', 'vnet0', 'xdp', 'obj', object, 'sec', 'xdp');
    ip('vnet0', 'mtu', '9000');
    look(); // sets it back
    look();
    t.same([linkOf('vnet0').mtu, linkOf('other').mtu], [3506, 3506], 'vnet0 and its peer have what the program takes');
    t.same(findings(), []);
    ip('dev', 'vnet0', 'xdp', 'off');
    t.same(findings(), [], 'nobody has changed the peer');
    ip('other', 'mtu', '1400');
    t.same(findings(), ['somebody changed the peer of vnet0 (mtu 1400)'], 'until somebody does');
    t.equal(linkOf('other').mtu, 3506, 'then it is put back');
    t.end();
  },
);
