// SPDX-License-Identifier: MIT
/** What is typed in the pictures of terminals. */

export const FILM_SIZE = { width: 84, height: 24 };

/** The moving picture at the top of the README. */
export const DEMO = [
  'vnet-bpf attach vnet0 --addr 10.77.0.1/24 --daemon',
  'ping -c 3 -i 0.3 10.77.0.1',
  "vnet-bpf faults vnet0 'icmp from client nth 2: drop'",
  'ping -c 3 -i 0.3 10.77.0.1',
  'vnet-bpf faults vnet0 --show',
  'vnet-bpf stats vnet0 --check | grep accounting',
  'vnet-bpf detach vnet0',
] as const;

export const TSHARK_SIZE = { width: 110, height: 24 };

/** Each comment on a line of its own, without the header that is for replay. */
export const TSHARK = String.raw`tshark -r run.pcapng -T fields -e _ws.col.Info -e frame.comment | sed 's/; vir.*//; s/\tcap/\n&/'`;
