// SPDX-License-Identifier: MIT
/** `vnet-bpf/hooks`: what hook files import. */
export * from '../packet';
export { FRAME_BYTES } from './contract';
export type { Delay, Hook, HookContext, HookExport, HookTimer, OnHookError, Superpackets, Verdict } from './contract';
