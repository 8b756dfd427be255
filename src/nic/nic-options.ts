// SPDX-License-Identifier: MIT
/** What attach() can be told; each option is one of `vnet-bpf attach`, with the same default. */
import type { AttachOptions } from '../controller/options';
import type { OnHookError } from '../hooks/contract';
import { readLibraryOptions } from '../options/read-options';

export interface NicOptions {
  /** Kind of interface; `veth`, or what the interface is if it exists. */
  type?: 'veth' | 'dummy';
  /** Network namespace, as `ip netns` calls it; that of the process unless given. */
  netns?: string;
  /** Addresses with prefix length, such as `192.168.100.1/24`; put on the interface and routed through the loop. */
  addresses?: readonly string[];
  /** Also loop each address that the interface gets later. */
  hairpin?: boolean;
  /** Ethernet address; random unless given. */
  mac?: string;
  /** Bytes; 1500 unless given. */
  mtu?: number;
  /** Queues, each with a ring and a thread of its own, 1 to 16; a flow keeps to one. 1 unless given, and with a hook. */
  queues?: number;
  /** Of each queue, in bytes or with a unit such as `8M`; a power of two from 256 KiB to 256 MiB. */
  ringSize?: number | string;
  /** Limits each queue to so many frames. */
  queuePackets?: number;
  /** Frames per poll, 1 to 1024. */
  budget?: number;
  /** Merge neighbouring datagrams of a flow on their way back; on unless given. */
  gro?: boolean;
  /** Microseconds for which the poller looks for frames before it sleeps; as the traffic is unless given. */
  busyPoll?: number | 'auto';
  /** Frames that find the queue full wait, or are refused. */
  whenFull?: 'hold' | 'drop';
  /** Per cent of the queue at which it wakes, 0 to 99. */
  lowWatermark?: number;
  /** Detach the interface first if it is attached. */
  replace?: boolean;
  /** File of a hook: a path, or a file: URL such as `new URL('./hook.js', import.meta.url)`. */
  hook?: string | URL;
  /** What becomes of a frame whose hook fails. */
  onHookError?: OnHookError;
  /** Serve metrics for Prometheus at this address and port: `127.0.0.1:9100`; port 0 takes any that is free, see `Nic.metrics`. */
  metrics?: string;
  /** Detaches when it is aborted. */
  signal?: AbortSignal;
}

/** Checks everything that can be checked without the kernel. Throws a USAGE error. */
export const toAttachOptions = (iface: string, options: NicOptions): AttachOptions => readLibraryOptions(iface, options);
