// SPDX-License-Identifier: MIT
export * from './constants';
export { koffiMissing } from './native/koffi-missing';
export {
  BpfError,
  IncompatibleMapError,
  NotSupportedError,
  UnknownNameError,
  UnreadableObjectError,
  UsageError,
} from './errors';
export type { BpfErrorDetails } from './errors';
export { LibraryError } from './native/libbpf';
export { VerifierError } from './verifier-log';
export { ConstantError } from './constant-value';
export type { ConstantValue } from './constant-value';
export { BpffsError, isBpffs, requireBpffs } from './bpffs';
export { attachXdp } from './xdp';
export type { XdpTarget } from './xdp';
export { attachCgroup } from './cgroup';
export type { CgroupTarget } from './cgroup';
export { attachKprobe, attachTrace, attachTracepoint } from './tracing';
export type { KprobeTarget, TracepointTarget } from './tracing';
export { Link } from './bpf-link';
export type { LinkInfo } from './bpf-link';
export { Btf, BtfKind } from './btf';
export type { BtfMember, BtfStruct, BtfType, BtfVariable } from './btf';
export { possibleCpus } from './cpus';
export { featureNames, libbpfVersion, probeFeature, probeFeatures, requireFeature } from './features';
export type { Feature, FeatureName } from './features';
export { kernelIsAtLeast, kernelRelease } from './kernel';
export type { KernelRelease } from './kernel';
export { attachTc, restoreTcLink } from './link';
export { openTcLink } from './tcx';
export type { TcAttachTarget } from './link';
export type { ClsactState, TcDirection, TcLink, TcLinkState, TcTarget, TcxState } from './tc-link';
export { BpfMap } from './map';
export type { CreateMapOptions } from './map';
export type { MapInfo, MapLayout } from './map-info';
export { MappedMemory, pageSize } from './mapped-memory';
export type { MapOptions } from './mapped-memory';
export { newMappingTable, releaseMappings, trackMappings } from './mapping-table';
export { BpfObject } from './object';
export type { OpenObjectOptions } from './object';
export { BpfProgram } from './program';
export type { TestRunOptions, TestRunResult } from './program';
export { RingBuffer } from './ringbuf';
export type { RingBufferOptions } from './ringbuf';
export { ringUsage } from './ring-usage';
export { loadAcquire } from './load-acquire';
export { RINGBUF_BUSY_BIT, RINGBUF_DISCARD_BIT, RINGBUF_HEADER_SIZE, RingReader } from './ring-reader';
export type { RingMemory } from './ring-reader';
export { RingWaiter, wakeWaiter } from './ring-waiter';
export { declarationsOf } from './typescript';
export { summarizeLog } from './verifier-log';
