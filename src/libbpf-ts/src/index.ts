// SPDX-License-Identifier: MIT
export * from './uapi';
export { Btf, BtfKind } from './btf';
export type { BtfMember, BtfStruct, BtfType, BtfVariable } from './btf';
export { attachBySection } from './attach';
export { attachCgroup } from './cgroup';
export type { CgroupTarget } from './cgroup';
export { declarationsOf } from './codegen/declarations';
export { layoutOf } from './codegen/layout';
export { skeletonOf } from './codegen/skeleton';
export type { SkeletonOptions } from './codegen/skeleton';
export { CType, ValueError } from './ctypes/ctype';
export type { Input } from './ctypes/ctype';
export { BtfTypes } from './ctypes/from-btf';
export { cString } from './ctypes/compound';
export * as ctypes from './ctypes/index';
export {
  BpfError,
  IncompatibleMapError,
  NotSupportedError,
  UnknownNameError,
  UnreadableObjectError,
  UsageError,
} from './errors';
export type { BpfErrorDetails } from './errors';
export { BpffsError, isBpffs, requireBpffs } from './fd';
export { featureNames, libbpfVersion, probeFeature, probeFeatures, requireFeature } from './features';
export type { Feature, FeatureName } from './features';
export { listIds } from './ids';
export type { Numbered } from './ids';
export { kernelIsAtLeast, kernelRelease, possibleCpus } from './kernel';
export type { KernelRelease } from './kernel';
export { Link } from './link';
export type { UpdateOptions } from './link';
export type { ClsactState, LinkInfo, TcDirection, TcLink, TcLinkState, TcTarget, TcxState } from './link';
export { BpfMap } from './map';
export type { CreateMapOptions } from './map';
export type { MapInfo, MapLayout } from './map-info';
export { MappedMemory, newMappingTable, pageSize, releaseMappings, trackMappings } from './mmap';
export type { MapOptions } from './mmap';
export { koffiMissing } from './native/ffi';
export { LibraryError, OldLibraryError } from './native/libbpf';
export { ConstantError } from './constants';
export type { ConstantValue } from './constants';
export { BpfObject } from './object';
export type { MapSettings, OpenObjectOptions } from './object-options';
export { PerfBuffer } from './perf-buffer';
export type { PerfBufferOptions, PerfRecord } from './perf-buffer';
export { BpfProgram } from './program';
export type { TestRunOptions, TestRunResult } from './program';
export { loadAcquire, RINGBUF_BUSY_BIT, RINGBUF_DISCARD_BIT, RINGBUF_HEADER_SIZE, RingReader } from './ring-reader';
export type { RingMemory } from './ring-reader';
export { ringBatches, ringRecords } from './ring-stream';
export type { RingBatch, RingStreamOptions } from './ring-stream';
export { UserRingBuffer } from './user-ring';
export { RingBuffer, ringUsage, RingWaiter, wakeWaiter } from './ringbuf';
export type { RingBufferOptions } from './ringbuf';
export { embeddedObject, Skeleton } from './skeleton';
export { PerCpuMap, TypedMap } from './typed-map';
export type { MapSource } from './typed-map';
export { TypedRing } from './typed-ring';
export type { Anchor } from './anchor';
export { attachTc, openTcLink, restoreTcLink } from './tcx';
export type { TcAttachTarget } from './tcx';
export {
  attachFreplace,
  attachKprobe,
  attachKprobeMulti,
  attachKsyscall,
  attachLsm,
  attachRawTracepoint,
  attachTrace,
  attachTracepoint,
} from './tracing';
export type { Cookie, KprobeMultiTarget, KprobeTarget, KsyscallTarget, TracepointTarget } from './tracing';
export { attachUprobe, attachUprobeMulti, attachUsdt } from './user-probes';
export type { UprobeMultiTarget, UprobeTarget, UsdtTarget } from './user-probes';
export { attachPerfEvent } from './perf-event';
export type { PerfEventName, PerfEventTarget } from './perf-event';
export { attachIterator, BpfIterator } from './iterator';
export type { IteratorTarget } from './iterator';
export { attachNetfilter, attachNetkit, attachNetns, attachSocketFilter, SocketFilter } from './network';
export type { NetfilterTarget, NetkitTarget, NetnsTarget } from './network';
export { summarizeLog, VerifierError } from './verifier';
export type { SourceLine } from './verifier';
export { attachXdp } from './xdp';
export type { XdpMode, XdpTarget } from './xdp';
