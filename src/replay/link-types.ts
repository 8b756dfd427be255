// SPDX-License-Identifier: MIT
/** Names of link types (draft-ietf-opsawg-pcaplinktype), for those that people meet. */

export const LINK_TYPE_NAMES: Readonly<Record<number, string>> = {
  0: 'BSD loopback',
  1: 'Ethernet',
  6: 'Token Ring',
  9: 'PPP',
  10: 'FDDI',
  12: 'raw IP',
  14: 'raw IP',
  50: 'PPP',
  51: 'PPPoE',
  101: 'raw IP',
  105: 'IEEE 802.11',
  108: 'OpenBSD loopback',
  113: 'Linux cooked',
  127: 'IEEE 802.11 with radiotap',
  187: 'Bluetooth',
  189: 'USB',
  195: 'IEEE 802.15.4',
  201: 'Bluetooth',
  220: 'USB',
  227: 'CAN',
  228: 'IPv4',
  229: 'IPv6',
  239: 'netfilter log',
  249: 'USB',
  252: 'Wireshark upper PDU',
  253: 'netlink',
  276: 'Linux cooked',
};

export function linkTypeText(linkType: number): string {
  const name = LINK_TYPE_NAMES[linkType];
  return `link type ${linkType}${name === undefined ? '' : ` (${name})`}`;
}
