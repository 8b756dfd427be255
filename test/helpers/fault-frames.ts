// SPDX-License-Identifier: MIT
/** Frames of made-up connections, and the engine that judges them. */
import { Engine } from '../../src/faults/engine';
import type { Fault } from '../../src/faults/log';
import type { Effect, Match, Rule } from '../../src/faults/rules';
import { ethernet, Frame, ipv4, ipv6, tcp, TCP_FLAG, udp } from '../../src/packet';

export const LINK = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
export const CLIENT = '10.77.0.1';
export const SERVER = '10.77.0.2';

export interface Ends {
  clientPort?: number;
  serverPort?: number;
  client?: string;
  server?: string;
}

const back = ({ clientPort, serverPort, client, server }: Required<Ends>): Required<Ends> => ({
  client: server,
  server: client,
  clientPort: serverPort,
  serverPort: clientPort,
});
const whole = ({ clientPort = 40000, serverPort = 53, client = CLIENT, server = SERVER }: Ends): Required<Ends> => ({
  clientPort,
  serverPort,
  client,
  server,
});

/** A datagram, from the client unless `from` says otherwise. */
export function datagram(ends: Ends = {}, from: 'client' | 'server' = 'client', bytes = 20): Uint8Array {
  const { clientPort, serverPort, client, server } = from === 'client' ? whole(ends) : back(whole(ends));
  const ports = { sourcePort: clientPort, destinationPort: serverPort };
  const segment = udp(ports, new Uint8Array(bytes));
  return ethernet(
    LINK,
    client.includes(':')
      ? ipv6({ source: client, destination: server }, segment)
      : ipv4({ source: client, destination: server }, segment),
  );
}

export interface SegmentFields {
  sequence: number;
  flags: number;
  acknowledgment?: number;
  bytes?: number;
}

export function segment(fields: SegmentFields, ends: Ends = {}, from: 'client' | 'server' = 'client'): Uint8Array {
  const { clientPort, serverPort, client, server } =
    from === 'client' ? whole({ serverPort: 80, ...ends }) : back(whole({ serverPort: 80, ...ends }));
  const { bytes = 0, ...header } = fields;
  const content = tcp({ sourcePort: clientPort, destinationPort: serverPort, ...header }, new Uint8Array(bytes));
  return ethernet(LINK, ipv4({ source: client, destination: server }, content));
}

export const { syn: SYN, ack: ACK, rst: RST, fin: FIN } = TCP_FLAG;

export const rule = (match: Match, ...effects: Effect[]): Rule => ({ id: 1, match, effects });

/** What became of a frame: `drop`, `pass`, or a few words. */
export class TestEngine {
  readonly log: Fault[] = [];
  readonly engine: Engine;

  constructor(rules: readonly Rule[], seed = 1) {
    this.engine = new Engine(
      { seed, rules: rules.map((each, i) => ({ ...each, id: i + 1 })) },
      (fault) => this.log.push(fault),
      0,
    );
  }

  judge(frame: Uint8Array, now = 0): string {
    const decision = this.engine.judge(Frame.of(frame), now);
    if (decision === null) return 'pass';
    const words = [
      decision.drop ? 'drop' : '',
      decision.delayMs > 0 ? `delay ${decision.delayMs}` : '',
      decision.bytes ? 'changed' : '',
      decision.made.length > 0 ? `and ${decision.made.length}` : '',
    ];
    return words.filter(Boolean).join(' ') || 'pass';
  }

  /** Numbers, from 1 on, of the frames that were dropped. */
  dropped(frames: readonly Uint8Array[]): number[] {
    return frames.flatMap((frame, i) => (this.judge(frame) === 'drop' ? [i + 1] : []));
  }
}
