// SPDX-License-Identifier: MIT
/**
 * The connections of an interface, and which of them a frame belongs to.
 *
 *   protocol, client, server, its port     in order of appearance     number, from which chance is computed
 *   tcp 10.77.0.1 > 10.77.0.2:443          #1, #2, #3 ...             hash of tcp, 443 and 2
 *
 * A connection is identified by protocol, addresses and ports. Its number, from which chance is computed, depends only
 * on how many connections appeared before it between the same client and the same server and port: neither the client's
 * port, which the kernel picks, nor connections to other servers influence it. A server port that the kernel has
 * picked, from 32768 on, counts as none.
 */
import { randomBytes } from '../native/random';
import { ipv4Text, ipv6Text } from '../packet/addresses';
import { ETHER_TYPE, type FrameData, type HeaderOffsets, PROTOCOL, TCP_FLAG } from '../packet/headers';
import { finish, hashOf } from './dice';
import type { Side } from './rules';

/**
 * The most connections that are remembered. Beyond that, the one that has been silent longest is forgotten, and its
 * next frame opens a new one. The same holds for the counts of connections between a client and a server.
 */
export const CONNECTIONS_MAX = 16384;
/** The first port of those that the kernel picks (net.ipv4.ip_local_port_range). */
const FIRST_PICKED_PORT = 32768;

/** In `kind` of a connection, beside the number of its protocol. */
const KIND = { v6: 0x100, notIp: 0x10000 } as const;
const ECHO: Readonly<Record<number, 'request' | 'reply'>> = { 8: 'request', 0: 'reply', 128: 'request', 129: 'reply' };

const NAMES: Readonly<Record<number, string>> = {
  [PROTOCOL.tcp]: 'tcp',
  [PROTOCOL.udp]: 'udp',
  [PROTOCOL.icmp]: 'icmp',
  [PROTOCOL.icmpv6]: 'icmpv6',
  [KIND.notIp | ETHER_TYPE.arp]: 'arp',
};

/**
 * Secret odd numbers, one for each word of an endpoint: whoever knew how connections are hashed could open many with the
 * same hash, and looking up one of them would take as long as looking at all.
 */
const KEYS = new Int32Array(Uint8Array.from(randomBytes(5 * 4)).buffer).map((word) => word | 1);

/** Adds a word to a hash. */
function mix(hash: number, word: number, key: number): number {
  const h = Math.imul(hash + word, key);
  return h ^ (h >>> 15);
}

/** One end: an address of one word or four, and a port. The words are signed, because larger numbers are slower. */
class Endpoint {
  w0 = 0;
  w1 = 0;
  w2 = 0;
  w3 = 0;
  port = 0;

  set(memory: Uint8Array, at: number, v6: boolean, port: number): void {
    this.w0 = i32(memory, at);
    this.w1 = v6 ? i32(memory, at + 4) : 0;
    this.w2 = v6 ? i32(memory, at + 8) : 0;
    this.w3 = v6 ? i32(memory, at + 12) : 0;
    this.port = port;
  }

  clear(): void {
    this.w0 = this.w1 = this.w2 = this.w3 = this.port = 0;
  }

  equals({ w0, w1, w2, w3, port }: Endpoint): boolean {
    return this.w0 === w0 && this.port === port && this.w1 === w1 && this.w2 === w2 && this.w3 === w3;
  }

  copy(): Endpoint {
    return Object.assign(new Endpoint(), this);
  }

  get hash(): number {
    let hash = mix(mix(0, this.port, KEYS[0] as number), this.w0, KEYS[1] as number);
    if ((this.w1 | this.w2 | this.w3) !== 0) {
      hash = mix(hash, this.w1, KEYS[2] as number);
      hash = mix(hash, this.w2, KEYS[3] as number);
      hash = mix(hash, this.w3, KEYS[4] as number);
    }
    // The hashes of both ends are added, and must not make up for each other.
    return finish(hash);
  }
}

const u16 = (memory: Uint8Array, at: number): number => ((memory[at] as number) << 8) | (memory[at + 1] as number);
const i32 = (memory: Uint8Array, at: number): number => (u16(memory, at) << 16) | u16(memory, at + 2);

/** How far the TCP stream of one direction has come: the byte at `position` has the sequence number `seq`. */
interface Stream {
  seq: number;
  position: number;
}

export class Connection {
  /** How many frames each match has counted, by its slot. */
  readonly counts: Uint32Array;
  /** What each rule remembers about this connection, by its index. */
  readonly memory: unknown[] = [];
  /** By direction, 0 for frames from the client. */
  readonly streams: [Stream | null, Stream | null] = [null, null];
  /** When the last delayed frame of each direction arrives; later frames must not arrive before it. */
  readonly lastDue: [number, number] = [0, 0];
  /** Another connection with the same hash, and the connections that spoke last before and first after this one. */
  next: Connection | null = null;
  older: Connection | null = null;
  newer: Connection | null = null;

  constructor(
    readonly hash: number,
    readonly kind: number,
    readonly client: Endpoint,
    readonly server: Endpoint,
    /** Its number between the two, from 1 on. */
    readonly ordinal: number,
    /** 32 bits, for dice. */
    readonly number: number,
    /** Such as `udp 10.77.0.1 > 10.77.0.2:53 #1`: the same in each run. */
    readonly label: string,
    /** The sequence number of the client's SYN; -1 if it was not seen. */
    readonly firstSequence: number,
    /** When its first frame came, in milliseconds. */
    readonly startedAt: number,
    slots: number,
  ) {
    this.counts = new Uint32Array(slots);
  }
}

export class Connections {
  /** Of the latest frame. */
  from: Side = 'client';
  private readonly byHash = new Map<number, Connection>();
  /** How many connections there were, by what they have in common; the first entry was used longest ago. */
  private readonly services = new Map<string, number>();
  private readonly source = new Endpoint();
  private readonly destination = new Endpoint();
  private kind = 0;
  private oldest: Connection | null = null;
  private newest: Connection | null = null;
  private size = 0;

  /** `slots` returns how many counts a connection has. */
  constructor(
    private readonly slots: () => number,
    private readonly max = CONNECTIONS_MAX,
  ) {}

  get length(): number {
    return this.size;
  }

  /** The connection of all frames, for rules that do not tell connections apart. */
  oneForAll(now: number): Connection {
    const nobody = new Endpoint();
    return new Connection(0, 0, nobody, nobody, 1, hashOf(0, 0, 1), 'all', -1, now, this.slots());
  }

  /** The connection of a frame that came at `now`; `from` then says which side sent it. */
  of(data: FrameData, now: number): Connection {
    const offsets = data.offsets();
    this.read(data, offsets);
    const { source } = this;
    let found = this.newest !== null && this.isOf(this.newest) ? this.newest : this.lookUp();
    const isTcp = offsets.transport > 0 && offsets.protocol === PROTOCOL.tcp;
    const allFlags = isTcp ? data.u8(offsets.transport + 13) : 0;
    const flags = allFlags & (TCP_FLAG.syn | TCP_FLAG.ack);
    const sequence = isTcp ? data.u32(offsets.transport + 4) : 0;
    // A SYN opens another connection with the same ports, unless it is a repeated one.
    if (
      found !== null &&
      flags === TCP_FLAG.syn &&
      !(found.firstSequence === sequence && found.client.equals(source))
    ) {
      this.forget(found);
      found = null;
    }
    found = found === null ? this.add(data, offsets, flags, sequence, now) : this.refresh(found);
    this.from = found.client.equals(source) ? 'client' : 'server';
    // The sequence number of a reset need not be one of the stream.
    if (isTcp && (allFlags & TCP_FLAG.rst) === 0) this.follow(found, sequence, (flags & TCP_FLAG.syn) !== 0);
    return found;
  }

  private isOf({ kind, client, server }: Connection): boolean {
    const { source, destination } = this;
    if (kind !== this.kind) return false;
    return (
      (client.equals(source) && server.equals(destination)) || (client.equals(destination) && server.equals(source))
    );
  }

  /** Reads protocol, addresses and ports. A fragment without a transport header has no ports. */
  private read({ memory, start }: FrameData, { ip, v6, protocol, transport, etherType }: HeaderOffsets): void {
    const { source, destination } = this;
    source.clear();
    destination.clear();
    if (ip === 0) {
      this.kind = KIND.notIp | etherType;
      return;
    }
    this.kind = protocol | (v6 ? KIND.v6 : 0);
    const at = start + transport;
    const hasPorts = transport > 0 && (protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp);
    const echo =
      transport > 0 && (protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmpv6)
        ? ECHO[memory[at] as number]
        : undefined;
    // The identifier of an echo belongs to the side that asks, as a client's port does.
    const sourcePort = hasPorts ? u16(memory, at) : echo === 'request' ? u16(memory, at + 4) : 0;
    const destinationPort = hasPorts ? u16(memory, at + 2) : echo === 'reply' ? u16(memory, at + 4) : 0;
    const addresses = start + ip + (v6 ? 8 : 12);
    source.set(memory, addresses, v6, sourcePort);
    destination.set(memory, addresses + (v6 ? 16 : 4), v6, destinationPort);
  }

  private get hash(): number {
    return (this.source.hash + this.destination.hash + this.kind) | 0;
  }

  private lookUp(): Connection | null {
    let found = this.byHash.get(this.hash) ?? null;
    while (found !== null && !this.isOf(found)) found = found.next;
    return found;
  }

  private add(data: FrameData, offsets: HeaderOffsets, flags: number, sequence: number, now: number): Connection {
    const { hash } = this;
    if (this.size >= this.max) this.forget(this.oldest as Connection);
    const { kind, source, destination } = this;
    const clientIsSource = this.clientIsSource(offsets.protocol, flags);
    const [client, server] = clientIsSource ? [source.copy(), destination.copy()] : [destination.copy(), source.copy()];
    const between = this.namesOf(data, offsets, clientIsSource, server.port);
    const ordinal = this.countIn(between);
    const port = server.port < FIRST_PICKED_PORT ? server.port : 0;
    const protocol = offsets.ip === 0 ? kind : offsets.protocol;
    const number = hashOf(protocol, port, ordinal);
    const connection = new Connection(
      hash,
      kind,
      client,
      server,
      ordinal,
      number,
      `${between} #${ordinal}`,
      flags === TCP_FLAG.syn ? sequence : -1,
      now,
      this.slots(),
    );
    connection.next = this.byHash.get(hash) ?? null;
    this.byHash.set(hash, connection);
    this.append(connection);
    this.size++;
    return connection;
  }

  /**
   * The client is the sender of the first frame, unless the frame shows otherwise. Of a TCP connection that is older
   * than the rules, it is the end with the higher port.
   */
  private clientIsSource(protocol: number, flags: number): boolean {
    const { source, destination } = this;
    if (protocol === PROTOCOL.tcp)
      return (flags & TCP_FLAG.syn) !== 0 ? flags === TCP_FLAG.syn : source.port >= destination.port;
    if (protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmpv6) return destination.port === 0;
    return true;
  }

  /** What connections have in common that only their order tells apart. */
  private namesOf(
    { memory, start }: FrameData,
    { ip, v6, protocol, etherType }: HeaderOffsets,
    clientIsSource: boolean,
    port: number,
  ): string {
    if (ip === 0) return NAMES[KIND.notIp | etherType] ?? `ethertype 0x${etherType.toString(16).padStart(4, '0')}`;
    const at = start + ip + (v6 ? 8 : 12);
    const [source, destination] = v6
      ? [`[${ipv6Text(memory, at)}]`, `[${ipv6Text(memory, at + 16)}]`]
      : [ipv4Text(memory, at), ipv4Text(memory, at + 4)];
    const [client, server] = clientIsSource ? [source, destination] : [destination, source];
    const shown = port === 0 ? '' : port < FIRST_PICKED_PORT ? `:${port}` : ':*';
    return `${NAMES[protocol] ?? `protocol ${protocol}`} ${client} > ${server}${shown}`;
  }

  private countIn(between: string): number {
    const { services, max } = this;
    const ordinal = (services.get(between) ?? 0) + 1;
    services.delete(between);
    services.set(between, ordinal);
    if (services.size > max) services.delete(services.keys().next().value as string);
    return ordinal;
  }

  /** Records where the TCP stream of a direction begins, and how far it has come. */
  private follow({ streams }: Connection, sequence: number, isSyn: boolean): void {
    const direction = this.from === 'client' ? 0 : 1;
    const seq = isSyn ? (sequence + 1) >>> 0 : sequence;
    const stream = streams[direction];
    if (stream === null) {
      streams[direction] = { seq, position: 0 };
      return;
    }
    const ahead = (seq - stream.seq) | 0;
    if (ahead <= 0) return;
    stream.seq = seq;
    stream.position += ahead;
  }

  /** The position in its stream of the byte with a sequence number, in the direction of the latest frame. */
  positionOf({ streams }: Connection, sequence: number): number {
    const stream = streams[this.from === 'client' ? 0 : 1];
    return stream === null ? 0 : stream.position + ((sequence - stream.seq) | 0);
  }

  private refresh(connection: Connection): Connection {
    if (connection === this.newest) return connection;
    this.unlink(connection);
    this.append(connection);
    return connection;
  }

  private forget(connection: Connection): void {
    this.unlink(connection);
    this.size--;
    const first = this.byHash.get(connection.hash) as Connection;
    if (first === connection) {
      if (connection.next === null) this.byHash.delete(connection.hash);
      else this.byHash.set(connection.hash, connection.next);
      return;
    }
    for (let each = first; each.next !== null; each = each.next) {
      if (each.next !== connection) continue;
      each.next = connection.next;
      return;
    }
  }

  private append(connection: Connection): void {
    connection.older = this.newest;
    connection.newer = null;
    if (this.newest === null) this.oldest = connection;
    else this.newest.newer = connection;
    this.newest = connection;
  }

  private unlink({ older, newer }: Connection): void {
    if (older === null) this.oldest = newer;
    else older.newer = newer;
    if (newer === null) this.newest = older;
    else newer.older = older;
  }
}
