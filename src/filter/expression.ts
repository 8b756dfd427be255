// SPDX-License-Identifier: MIT
/** Filters in tcpdump's syntax (pcap-filter(7)): libpcap compiles one, and what comes of that runs on a frame. */
import { usageError } from '../errors';
import { compileFilter, INSTRUCTION } from '../native/libpcap';
import { PacketFilter, type Instruction } from './program';

/** Longer ones are no longer typed by anybody, and libpcap takes a long time for them. */
const LENGTH_MAX = 16384;

/** Compiles one with libpcap. Throws a USAGE error for what libpcap does not understand, and LIBPCAP_MISSING without libpcap. */
export function parseFilter(expression: string): PacketFilter {
  const wrong = (why: string): Error => usageError(`filter "${expression.slice(0, 100)}"`, why, 'in tcpdump\'s syntax, such as "tcp port 80 and not arp": man pcap-filter');
  if (expression.length > LENGTH_MAX) throw wrong(`has more than ${LENGTH_MAX} characters`);
  if (expression.includes('\0')) throw wrong('has a zero byte');
  const compiled = compileFilter(expression);
  if ('error' in compiled) throw wrong(compiled.error);
  return new PacketFilter(expression, instructionsOf(compiled.instructions));
}

function instructionsOf(view: DataView): Instruction[] {
  return Array.from({ length: view.byteLength / INSTRUCTION.size }, (_, i) => {
    const at = i * INSTRUCTION.size;
    return {
      code: view.getUint16(at + INSTRUCTION.code, true),
      jt: view.getUint8(at + INSTRUCTION.jt),
      jf: view.getUint8(at + INSTRUCTION.jf),
      k: view.getUint32(at + INSTRUCTION.k, true),
    };
  });
}
