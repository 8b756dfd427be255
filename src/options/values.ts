// SPDX-License-Identifier: MIT
/** The values of options: how the text of each is read, its limits, and where a wrong value came from. */
import * as net from 'node:net';

import { didYouMean, usageError } from '../errors';

// Where a value comes from, for messages about it: the command line and the library take the same options and share the
// checks, and each gets messages in its own spelling.

export interface Place {
  /** The option and its value: `--mtu "67"`, `mtu "67"`. */
  readonly what: string;
  /** A hint with a valid value: `such as --mtu 1500`, `such as mtu: 1500`. */
  example(value: string): string;
}

/** A flag as an identifier: `ringSize` for `ring-size`. */
export const camelCase = (flag: string): string => flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

/** An option of the command line, by its flag without the dashes. */
export const onCommandLine = (flag: string, value: string): Place => ({
  what: `--${flag} "${value}"`,
  example: (good) => `such as --${flag} ${good}`,
});

/** A property of the library's options; `shown` says how a valid value is written there. */
export const inLibrary = (name: string, value: unknown, shown: (good: string) => string): Place => ({
  what: `${name} ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`,
  example: (good) => `such as ${name}: ${shown(good)}`,
});

/** Checks that a text is one of some words. */
export function oneOf<const T extends string>(text: string, choices: readonly T[], { what, example }: Place): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined)
    throw usageError(what, `is not one of ${choices.join(', ')}`, didYouMean(text, choices, example(choices[0] ?? '')));
  return found;
}

/** What happens to a frame whose hook threw an error or gave a wrong answer; `detach` also removes the hook. */
export const ON_HOOK_ERROR = ['pass', 'drop', 'detach'] as const;
export type OnHookError = (typeof ON_HOOK_ERROR)[number];

/** The largest MTU of an Ethernet device (ETH_MAX_MTU). */
export const MAX_MTU = 65535;
export const MIN_MTU = 68;
/** Bytes that an IPv6 link must be able to carry (RFC 8200, 5; IPV6_MIN_MTU). */
export const IPV6_MIN_MTU = 1280;

/**
 * Checks a name by the kernel's own rule for interface names (dev_valid_name in net/core/dev.c), and refuses what
 * `ip -batch` would read as a comment, a quote or an option.
 */
export function checkInterfaceName(name: string): string {
  const what = `interface name "${name}"`;
  const hint = '1 to 15 characters, without spaces, slashes and colons: vnet0';
  if (name === '') throw usageError(what, 'is empty', hint);
  if (Buffer.byteLength(name) > 15) throw usageError(what, `has ${Buffer.byteLength(name)} characters`, hint);
  if (name === '.' || name === '..') throw usageError(what, 'is not allowed by the kernel', hint);
  // eslint-disable-next-line no-control-regex
  if (/[/:\s\0%#"'\\]|^-/.test(name)) throw usageError(what, 'has a character that is not allowed', hint);
  return name;
}

/** Checks the name of a namespace, which is a file name under /run/netns. */
export function checkNetnsName(name: string, { what }: Place = onCommandLine('netns', name)): string {
  if (name === '' || name.includes('/') || name.includes('\0') || name === '.' || name === '..') {
    throw usageError(what, 'is not the name of a network namespace', 'ip netns list shows those that exist');
  }
  return name;
}

export interface Cidr {
  family: 4 | 6;
  address: string;
  prefix: number;
}

/** Parses an address with prefix length, such as 192.168.100.1/24 or fd00::1/64. */
export function parseCidr(text: string, { what }: Place): Cidr {
  const hint = 'an address and its prefix length: 192.168.100.1/24 or fd00::1/64';
  const [address, prefix, ...rest] = text.split('/');
  const family = net.isIP(address ?? '');
  if (family === 0 || rest.length > 0 || (address ?? '').includes('%'))
    throw usageError(what, 'is not an address', hint);
  const bits = family === 4 ? 32 : 128;
  if (prefix === undefined) throw usageError(what, 'has no prefix length', hint);
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > bits || Number(prefix) === 0) {
    throw usageError(what, `has a prefix length that is not between 1 and ${bits}`, hint);
  }
  const cidr: Cidr = { family: family as 4 | 6, address: canonical(family, address as string), prefix: Number(prefix) };
  if (!isHostAddress(cidr)) throw usageError(what, 'is not an address that an interface can have', hint);
  return cidr;
}

/** An address as the kernel and iproute2 write it, for comparison with their output. */
function canonical(family: number, address: string): string {
  return family === 6 ? new net.SocketAddress({ family: 'ipv6', address }).address : address;
}

function isHostAddress({ family, address }: Cidr): boolean {
  if (family === 4) {
    const first = Number(address.split('.')[0]);
    return first !== 0 && first !== 127 && first < 224;
  }
  return !/^(::|::1|::ffff:.*|ff[0-9a-f]{2}:.*)$/.test(address);
}

/** Parses a unicast address that is not all zero. */
export function parseMac(text: string, { what }: Place): string {
  const hint = 'six bytes, of a station: 02:00:00:00:00:01';
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw usageError(what, 'is not an Ethernet address', hint);
  const mac = text.toLowerCase();
  if (parseInt(mac.slice(0, 2), 16) & 1) throw usageError(what, 'is a multicast address', hint);
  if (mac === '00:00:00:00:00:00') throw usageError(what, 'is all zero', hint);
  return mac;
}

/** Parses a whole number within bounds. */
export function parseInteger(text: string, { what, example }: Place, min: number, max: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) {
    throw usageError(
      what,
      `is not a whole number from ${min} to ${max}`,
      `a number in digits, ${example(String(Math.max(min, Math.min(max, 64))))}`,
    );
  }
  return value;
}

/**
 * The smallest ring has space for the largest frame and the headroom of the waiting room; the kernel requires a power
 * of two.
 */
export const MIN_RING_BYTES = 256 << 10;
export const MAX_RING_BYTES = 256 << 20;

/** Parses the size of a ring, such as 8M, 256K or 1048576. */
export const parseRingSize = (text: string, place: Place): number =>
  parsePowerOfTwo(text, place, {
    min: MIN_RING_BYTES,
    max: MAX_RING_BYTES,
    hint: 'a power of two from 256K to 256M, such as 8M',
  });

/** Parses the size of the trace ring of `record`, which is also a ring. */
export const parseBuffer = (text: string): number =>
  parsePowerOfTwo(text, onCommandLine('buffer', text), {
    min: MIN_RING_BYTES,
    max: 1 << 30,
    hint: 'a power of two from 256K to 1G, such as 32M',
  });

interface SizeLimits {
  min: number;
  max: number;
  hint: string;
}

/** Parses a number of bytes within bounds, such as 8M, 256K or 1048576. */
export function parseSize(text: string, { what }: Place, { min, max, hint }: SizeLimits): number {
  const match = /^(\d{1,12})([KMG]?)i?B?$/i.exec(text);
  if (!match) throw usageError(what, 'is not a size', hint);
  const unit = { '': 1, K: 1 << 10, M: 1 << 20, G: 1 << 30 }[(match[2] as string).toUpperCase()] as number;
  const bytes = Number(match[1]) * unit;
  if (bytes < min) throw usageError(what, 'is too small', hint);
  if (bytes > max) throw usageError(what, 'is too large', hint);
  return bytes;
}

function parsePowerOfTwo(text: string, place: Place, limits: SizeLimits): number {
  const bytes = parseSize(text, place, limits);
  if ((bytes & (bytes - 1)) !== 0) throw usageError(place.what, 'is not a power of two', limits.hint);
  return bytes;
}

/** The largest seed of faults: 15 digits, which a number in JSON keeps exactly. */
export const SEED_MAX = 999_999_999_999_999;

/** A seed where none is named: 32 bits, which are quickly typed. */
export const randomSeed = (): number => Math.floor(Math.random() * 2 ** 32);

/**
 * Whether a text is rules of faults, not the name of a file: it has a colon before a space or the end, or several rules,
 * or it is a JSON document.
 */
export const areRules = (text: string): boolean => /:(\s|$)|[;\n]|^\s*[{[]/.test(text);

/** Parses a percentage such as 50%; returns a fraction. */
export function parseWatermark(text: string, { what, example }: Place): number {
  const match = /^(\d{1,3}(?:\.\d+)?)%$/.exec(text);
  const percent = match ? Number(match[1]) : NaN;
  if (!(percent >= 0 && percent <= 99)) {
    throw usageError(what, 'is not a percentage from 0% to 99%', example('50%'));
  }
  return percent / 100;
}
