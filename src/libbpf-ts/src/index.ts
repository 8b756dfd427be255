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
export { kernelIsAtLeast, kernelRelease, possibleCpus } from './kernel';
export type { KernelRelease } from './kernel';
export { Link } from './link';
export type { ClsactState, LinkInfo, TcDirection, TcLink, TcLinkState, TcTarget, TcxState } from './link';
export { BpfMap } from './map';
export type { CreateMapOptions, MapInfo, MapLayout } from './map';
export { MappedMemory, newMappingTable, pageSize, releaseMappings, trackMappings } from './mmap';
export type { MapOptions } from './mmap';
export { koffiMissing } from './native/ffi';
export { LibraryError } from './native/libbpf';
export { BpfObject, ConstantError } from './object';
export type { ConstantValue, OpenObjectOptions } from './object';
export { BpfProgram } from './program';
export type { TestRunOptions, TestRunResult } from './program';
export { loadAcquire, RINGBUF_BUSY_BIT, RINGBUF_DISCARD_BIT, RINGBUF_HEADER_SIZE, RingReader } from './ring-reader';
export type { RingMemory } from './ring-reader';
export { RingBuffer, ringUsage, RingWaiter, wakeWaiter } from './ringbuf';
export type { RingBufferOptions } from './ringbuf';
export { embeddedObject, Skeleton } from './skeleton';
export { attachTc, openTcLink, restoreTcLink } from './tcx';
export type { TcAttachTarget } from './tcx';
export { attachKprobe, attachTrace, attachTracepoint } from './tracing';
export type { KprobeTarget, TracepointTarget } from './tracing';
export { PerCpuMap, TypedMap } from './typed-map';
export type { MapSource } from './typed-map';
export { TypedRing } from './typed-ring';
export { summarizeLog, VerifierError } from './verifier';
export type { SourceLine } from './verifier';
export { attachXdp } from './xdp';
export type { XdpMode, XdpTarget } from './xdp';
