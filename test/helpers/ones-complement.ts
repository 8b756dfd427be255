// SPDX-License-Identifier: MIT
/** The Internet checksum computed in the slow and obvious way, for comparison. */

/** The sum over pseudo-header and transport part of an untagged IP frame: 0xffff if its checksum is right. */
export function onesComplement(frame: Uint8Array): number {
  const v6 = frame[12] === 0x86;
  const ip = 14;
  const transport = v6 ? 54 : ip + ((frame[ip] as number) & 15) * 4;
  const protocol = frame[v6 ? 20 : 23] as number;
  const length = v6
    ? ((frame[18] as number) << 8) | (frame[19] as number)
    : (((frame[16] as number) << 8) | (frame[17] as number)) - (transport - ip);
  const addresses = v6 ? frame.subarray(22, 54) : frame.subarray(26, 34);
  const pseudo = protocol === 1 ? [] : [...addresses, 0, protocol, length >>> 8, length & 0xff];
  return sumOf([...pseudo, ...frame.subarray(transport, transport + length)]);
}

export function sumOf(bytes: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}
