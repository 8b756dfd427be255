// SPDX-License-Identifier: MIT
/** The library: a looping NIC for programs. */
import './not-bundled';

export { attach } from './nic/nic';
export type { Nic, NicEvents } from './nic/nic';
export type { NicOptions } from './nic/nic';
export { VnetError, type ErrorCode } from './errors';
export { frameAccounting, type Refusal, type Stats } from './datapath/stats';
/** @deprecated The former name of frameAccounting. */
export { frameAccounting as law } from './datapath/stats';
export type { RulesInput } from './faults/document';
export type { Fault } from './faults/log';
export type { FaultsReport } from './hooks/fault-hook';
export type {
  Delay,
  Hook,
  HookContext,
  HookExport,
  HookTimer,
  OnHookError,
  Superpackets,
  Verdict,
} from './hooks/contract';
