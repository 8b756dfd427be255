// SPDX-License-Identifier: MIT
/** Kinds of BTF types (include/uapi/linux/btf.h). */
export const BtfKind = {
  VOID: 0,
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const;

/** Bytes after the 12 that all types have; undefined for a kind that is unknown. @param count its `vlen` */
export function trailerOf(kind: number, count: number): number | undefined {
  switch (kind) {
    case BtfKind.INT:
    case BtfKind.VAR:
    case BtfKind.DECL_TAG:
      return 4;
    case BtfKind.ARRAY:
      return 12;
    case BtfKind.STRUCT:
    case BtfKind.UNION:
    case BtfKind.DATASEC:
    case BtfKind.ENUM64:
      return count * 12;
    case BtfKind.ENUM:
    case BtfKind.FUNC_PROTO:
      return count * 8;
    case BtfKind.PTR:
    case BtfKind.FWD:
    case BtfKind.TYPEDEF:
    case BtfKind.VOLATILE:
    case BtfKind.CONST:
    case BtfKind.RESTRICT:
    case BtfKind.FUNC:
    case BtfKind.FLOAT:
    case BtfKind.TYPE_TAG:
      return 0;
    default:
      return undefined;
  }
}

/** A type without typedefs and qualifiers. */
export interface BtfType {
  readonly id: number;
  readonly kind: number;
  /** Empty for an anonymous type. */
  readonly name: string;
  /** Bytes; 0 where a type has no size. */
  readonly size: number;
  /** For integers and enums: whether values are signed. */
  readonly signed: boolean;
  /** For integers: C `bool`. */
  readonly bool: boolean;
  /** For arrays: type id of an element. */
  readonly element: number;
  /** For arrays: number of elements. */
  readonly length: number;
}

export interface BtfMember {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  /** Bytes from the start of the struct; for a bit field, of the byte that holds its first bit. */
  readonly offsetBytes: number;
  /** Bytes of the member's type. */
  readonly size: number;
  /** Type id. */
  readonly type: number;
  /** Set for bit fields: first bit from the start of the struct, and width, in bits. */
  readonly bitfield?: { readonly offsetBits: number; readonly width: number };
}

export interface BtfStruct {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly members: readonly BtfMember[];
}

export interface BtfVariable {
  readonly name: string;
  /** Bytes from the start of the section. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** Type id. */
  readonly type: number;
}
