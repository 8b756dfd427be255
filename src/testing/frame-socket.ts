// SPDX-License-Identifier: MIT
/** Frames of one interface: those that it receives, and those sent on it as an application would send them. */
import * as fs from 'node:fs';

import { MappedMemory } from 'libbpf-ts';

import { VnetError } from '../errors';
import { LARGEST_RECORD } from '../layout';
import { linkByName } from '../link/links';
import type { Netns } from '../link/netns';
import { errnoName, errnoOf, receiveMessage, sendBytes, setSocketOption } from '../native/libc';
import { bindToLink, openLinkSocket, SOL_PACKET } from '../native/sockets';
import { VLAN_TAG_BYTES } from '../packet/headers';

const ETH_P_ALL = 3;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const PACKET_AUXDATA = 8;
const PACKET_IGNORE_OUTGOING = 23;
const RECEIVE_BUFFER_BYTES = 32 << 20;
const ADDRESSES_BYTES = 12;
const EAGAIN = -(errnoOf['EAGAIN'] as number);

/** Offsets in the socket's memory: struct msghdr, an iovec, ancillary data, and the frame. */
const AT = { message: 0, iovec: 64, control: 128, frame: 256 } as const;
const CONTROL_BYTES = AT.frame - AT.control;
const FRAME_BYTES = LARGEST_RECORD;
/** struct cmsghdr, then struct tpacket_auxdata: u32 status, len, snaplen, u16 mac, net, vlan_tci, vlan_tpid. */
const AUXDATA = AT.control + 16;
const TP_STATUS_VLAN_VALID = 1 << 4;

export class FrameSocket implements Disposable {
  private readonly memory = MappedMemory.map({ length: AT.frame + FRAME_BYTES });
  private readonly view = new DataView(this.memory.buffer);
  private open = true;

  private constructor(private readonly fd: number) {}

  /** Opens a socket in which frames wait that the interface receives from now on. */
  static open(netns: Netns, iface: string): FrameSocket {
    const ifindex = netns.run(() => linkByName(iface))?.ifindex;
    if (ifindex === undefined)
      throw new VnetError('INTERFACE_GONE', `interface ${iface}`, 'is not there', {
        hint: 'it has to be attached before frames are sent or awaited',
      });
    const fd = netns.run(openLinkSocket);
    setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
    setSocketOption(fd, SOL_PACKET, PACKET_AUXDATA, 1);
    setSocketOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    bindToLink(fd, ifindex, ETH_P_ALL);
    return new FrameSocket(fd);
  }

  /** Makes the interface transmit a frame. */
  send(frame: Uint8Array): void {
    const sent = sendBytes(this.fd, frame);
    if (sent < 0)
      throw new VnetError('SYSCALL', `send of a frame of ${frame.length} bytes`, errnoName(-sent), {
        hint: 'a frame has to fit the MTU, and the interface to be up',
      });
  }

  /** The next received frame; null if none waits. */
  receive(): Uint8Array | null {
    const { view, memory } = this;
    view.setBigUint64(AT.iovec, BigInt(memory.address + AT.frame), true);
    view.setBigUint64(AT.iovec + 8, BigInt(FRAME_BYTES), true);
    view.setBigUint64(AT.message + 16, BigInt(memory.address + AT.iovec), true);
    view.setBigUint64(AT.message + 24, 1n, true);
    view.setBigUint64(AT.message + 32, BigInt(memory.address + AT.control), true);
    view.setBigUint64(AT.message + 40, BigInt(CONTROL_BYTES), true);
    const length = receiveMessage(this.fd, memory.address + AT.message);
    if (length === EAGAIN) return null;
    if (length < 0)
      throw new VnetError('SYSCALL', 'recvmsg', errnoName(-length), { hint: 'the interface has to be there and up' });
    return this.withTag(new Uint8Array(memory.buffer, AT.frame, length));
  }

  /** The frame as it was on the wire: the kernel takes the VLAN tag out of received data (skb_vlan_untag). */
  private withTag(data: Uint8Array): Uint8Array {
    if ((this.view.getUint32(AUXDATA, true) & TP_STATUS_VLAN_VALID) === 0) return Uint8Array.from(data);
    const frame = new Uint8Array(data.length + VLAN_TAG_BYTES);
    frame.set(data.subarray(0, ADDRESSES_BYTES));
    frame.set(data.subarray(ADDRESSES_BYTES), ADDRESSES_BYTES + VLAN_TAG_BYTES);
    const tag = new DataView(frame.buffer, ADDRESSES_BYTES);
    tag.setUint16(0, this.view.getUint16(AUXDATA + 18, true));
    tag.setUint16(2, this.view.getUint16(AUXDATA + 16, true));
    return frame;
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    fs.closeSync(this.fd);
    this.memory.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
