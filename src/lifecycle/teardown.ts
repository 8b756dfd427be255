// SPDX-License-Identifier: MIT
/**
 * Removes everything that an attachment made, and nothing else. Each step looks at what is there, so it can be run on
 * whatever a killed controller left, and run again. The caller holds the global lock, and no controller is alive.
 * sweep() removes what no record mentions.
 */
import * as fs from 'node:fs';

import { restoreTcLink, type TcLinkState } from 'libbpf-ts';

import { commandAbout, named, VnetError } from '../errors';
import { restoreTaken, unnamedDummy } from '../link/dummy';
import { removeHairpin } from '../link/hairpin';
import { linkByIndex, linkByName, links, setGroup } from '../link/links';
import { openPeerNetns, removeEmptyPeerNetns } from '../link/netns';
import { openAttachmentNetns } from '../link/netns-record';
import { isPeerNetnsName, roomExits } from '../link/room';
import { ifPossible } from '../link/rtnetlink';
import { peerName } from '../link/veth';
import { commandWithin, runIp } from '../native/command';
import { pinDirectory, removePins } from '../state/bpffs';
import { FileLock } from '../state/lock';
import { HOST_PEER_NETNS, stateDirectory, stateRoot } from '../state/paths';
import { type Attachment, controllerLock, everyAttachment, forgetAttachment, saveIfPossible } from '../state/store';
import { ifThere, itsLink } from './its-link';
import { runSteps, type Step } from './steps';

// Removes links in one step and in bounded time, in the calling thread's network namespace.
//
// The kernel removes a link once nothing refers to it any more, and until then blocks the process that asked for it,
// which no signal can reach (netdev_wait_allrefs_any in net/core/dev.c). A process that is blocked while it sends by
// AF_PACKET holds its interface (packet_snd in net/packet/af_packet.c) until its earlier frames are freed, and these
// may be in the waiting room. So links that belong together are removed together: the kernel first empties the qdiscs
// of all that it removes, and waits only then (unregister_netdevice_many). And a child process asks for it: if that has
// to wait for another process, we go on without it.

/**
 * Time that the kernel has to remove links, in milliseconds. It needs 20 to 200, and `detach` waits 5 s for an answer.
 */
const REMOVAL_MS = 3000;

/**
 * `held`: the links are no longer visible, but the kernel waits for a process that still uses one. `there`: at least
 * one still exists.
 */
export type Removal = 'removed' | 'held' | 'there';

/** A link group that nothing else uses. The kernel's default is 0; iproute2 accepts 31 bits. */
export const linkGroup = (id: string): number => parseInt(id, 16) & 0x7fffffff || 1;

/**
 * Removes links by their indexes, along with the other ends of veths and links on top of them. `group` is theirs alone.
 */
export function removeLinks(ifindexes: readonly number[], group: number): Removal {
  if (ifindexes.length === 0) return 'removed';
  for (const ifindex of ifindexes) ifPossible(() => setGroup(ifindex, group));
  const ended = commandWithin(REMOVAL_MS, 'ip', ['link', 'delete', 'group', String(group)]);
  if (ifindexes.some((ifindex) => linkByIndex(ifindex) !== null)) return 'there';
  return ended ? 'removed' : 'held';
}

/**
 * Takes an interface out of the group of looped ones, for a process that has to end although it cannot detach: the
 * machine answers for its addresses then, as without a loop.
 */
export function unloop(attachment: Attachment): void {
  using netns = openAttachmentNetns(attachment);
  ifPossible(() => netns?.run(() => setGroup(attachment.ifindex, attachment.taken?.group ?? 0)));
}

/** Removes the peer namespace once no attachment needs it. Those that are removed together need it until the last. */
export const peerNetnsRemoved: Step = {
  name: 'peer-netns-removed',
  says: () => [`remove the peer namespace ${HOST_PEER_NETNS}`],
  run: removeEmptyPeerNetns,
};

/** The steps that remove an attachment. None waits without a bound, or needs to write the record. */
export function teardownSteps(attachment: Attachment): Step[] {
  const { id, phase, iface, netns, backend, taken, hairpin, rooms } = attachment;
  const where = named(iface, netns.name);
  const hasNetns = (): boolean => inItsNetns(attachment, () => true) ?? false;
  const looped = hairpin?.addresses.map(({ address }) => address).join(', ') ?? '';
  const deletes = (kind: 'veth' | 'dummy'): string | false =>
    backend === kind && !taken && hasNetns() && `delete the ${kind} ${where}`;
  const removals: Removal[] = [];
  return [
    // For `list`, in case this process is killed.
    { name: 'detaching', run: () => phase === 'detaching' || saveIfPossible({ ...attachment, phase: 'detaching' }) },
    {
      name: 'rules-removed',
      says: () => [
        !hasNetns() && `the namespace of ${iface} is gone: nothing to remove there`,
        looped !== '' && hasNetns() && `remove the routing rules of ${where}, and the routes of ${looped}`,
        taken !== null && hasNetns() && `take the programs off ${where}, and leave the ${backend} as it was`,
      ],
      run: () => removeRules(attachment),
    },
    {
      name: 'links-removed',
      says: () => [deletes('veth'), rooms.length > 0 && `delete the waiting room of ${where}`],
      run: () => removals.push(removePeerLinks(attachment)),
    },
    {
      name: 'interface-removed',
      says: () => [deletes('dummy')],
      run: () => {
        removals.push(removeInterface(attachment));
        if (!removals.includes('there')) return;
        runIp(); // otherwise it is the kernel
        throw stillThere(attachment);
      },
    },
    { name: 'pins-removed', says: () => [`remove the pins ${pinDirectory(id)}`], run: () => removePins(id) },
    peerNetnsRemoved,
    {
      name: 'forgotten',
      says: () => [`remove the record ${stateDirectory(id)}`],
      run: () => {
        forgetAttachment(id);
        if (removals.includes('held')) throw held(attachment);
      },
    },
  ];
}

/**
 * Removes an attachment. Throws BUSY if the kernel does not remove the links, or, once all else is gone, if it waits
 * for a process that uses one.
 */
export const teardown = (attachment: Attachment): Promise<void> => runSteps(teardownSteps(attachment));

const stillThere = (attachment: Attachment): VnetError =>
  new VnetError('BUSY', `interface ${attachment.iface}`, 'the kernel does not remove it', {
    hint: `${commandAbout('detach', attachment)} tries again; dmesg may tell why`,
  });

const held = ({ iface }: Attachment): VnetError =>
  new VnetError(
    'BUSY',
    `interface ${iface}`,
    'is gone, but the kernel waits for a process that is blocked while it sends on it',
    {
      hint: 'grep -l packet_snd /proc/[0-9]*/stack tells which process; the kernel is done when that ends',
    },
  );

/** Removes rules and routes, and restores what was changed on an interface that stays. */
function removeRules(attachment: Attachment): void {
  inItsNetns(attachment, () => {
    const { hairpin, iface, taken, links, added } = attachment;
    const link = itsLink(attachment);
    if (hairpin) removeHairpin(iface, hairpin, link);
    if (!taken) return;
    if (links) detachLink(links.tx);
    if (link) restoreTaken(link, taken, added);
  });
}

/**
 * Removes the peer, and with it vnet0, and the waiting rooms with the frames in them. They are known by their names,
 * which are unique to this attachment, and by their recorded indexes in case another program has renamed them.
 */
function removePeerLinks({ id, peer, rooms }: Attachment): Removal {
  using peerNetns = openPeerNetns();
  if (!peerNetns) return 'removed';
  const recorded = [peer, ...rooms.flatMap(({ entry, exit }) => [entry, exit])].map((end) => end?.ifindex);
  return peerNetns.run(() => {
    const ours = links().filter(
      ({ name, ifindex }) =>
        name === peerName(id) ||
        name.startsWith(roomExits(id)) ||
        // A link of another attachment may have got the index of one that is gone.
        (recorded.includes(ifindex) && !isPeerNetnsName(name)),
    );
    return removeLinks(
      ours.map(({ ifindex }) => ifindex),
      linkGroup(id),
    );
  });
}

/**
 * Removes an interface that has no peer in the peer namespace: a dummy, or a veth whose peer namespace is no longer
 * mounted.
 */
function removeInterface(attachment: Attachment): Removal {
  const { taken, backend, id } = attachment;
  if (taken) return 'removed';
  const remove = (): Removal => {
    const link = itsLink(attachment);
    const unnamed = backend === 'dummy' ? linkByName(unnamedDummy(id)) : null;
    const ours = [link, unnamed].flatMap((each) => each?.ifindex ?? []);
    return removeLinks([...new Set(ours)], linkGroup(id));
  };
  return inItsNetns(attachment, remove) ?? 'removed';
}

/** Runs `body` in the interface's namespace; undefined if that is gone, and with it the interface, rules and routes. */
function inItsNetns<T>(attachment: Attachment, body: () => T): T | undefined {
  using netns = openAttachmentNetns(attachment);
  return netns?.run(body);
}

/** Detaches `tx` from an interface that stays. With an interface that is deleted, the kernel does that. */
function detachLink(state: TcLinkState): void {
  ifThere(() => restoreTcLink(state).detach());
}

// What no record mentions: the traces of a command that was killed between two steps.

/** Removes them. The caller holds the global lock, so nothing is half-made at the moment. */
export function sweep(): void {
  // An attachment whose record is damaged is left to detach, which knows what else to look for.
  const known = new Set(everyAttachment().map(({ id }) => id));
  for (const name of fs.existsSync(stateRoot()) ? fs.readdirSync(stateRoot()) : []) {
    if (!/^[0-9a-f]{8}$/.test(name) || known.has(name)) continue;
    if (FileLock.isHeld(controllerLock(name))) continue;
    removePins(name);
    forgetAttachment(name);
  }
  removeEmptyPeerNetns();
}
