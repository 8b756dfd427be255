// SPDX-License-Identifier: MIT
/** What the page and its server say to each other about the debugger; protocol.ts has the rest. */
import type { EditableField } from '../packet/field-edits';

/** The debugger of the interface that is watched, whenever something of it changes. */
export interface DebuggerSeen {
  type: 'debugger';
  interface: string;
  /** The page that gets this, as the others see it, such as `page 2`. */
  you: string;
  /** Whether a page has paused the loop. */
  paused: boolean;
  /** The page that steers. If none does, the loop resumes soon, unless a page takes the control. */
  steering: string | null;
  /** Which frames are held, in tcpdump's syntax; '' for all. */
  filter: string;
  held: HeldFrame | null;
  /** What is done to the next frames, which are not held, and to how many of them. */
  repeat: { verdict: 'pass' | 'drop'; left: number } | null;
  /** Frames since the loop is paused. `unseen`: those that the filter does not match have passed. */
  counts: { passed: number; dropped: number; injected: number; unseen: number };
  /** Why the loop runs again, if that was not asked for. */
  ended: { message: string; hint: string | null } | null;
}

export interface HeldFrame {
  /** Counts frames since the loop is paused, from 1 on. */
  number: number;
  /** Bytes on the wire. */
  length: number;
  /** A superpacket passes or is dropped, and is not edited. */
  superpacket: boolean;
  edited: boolean;
  summary: string;
  /** The first 2048 bytes, in base64. */
  bytes: string;
  /** The fields that can be given another value. */
  fields: EditableField[];
}

/** What a page may do with the debugger of the interface that it watches. `frame` is the number of the held one. */
export type DebuggerAction =
  /** Pauses the loop, or takes the control that another page has let go. Frames that the filter does not match pass. */
  | { kind: 'pause'; filter: string }
  | { kind: 'resume' }
  /** Leaves the loop paused for another page to take the control. */
  | { kind: 'let-go' }
  | { kind: 'pass' | 'drop'; frame: number; count: number }
  /** Holds the next frame although `pass` or `drop` was to deal with more. */
  | { kind: 'hold' }
  | { kind: 'edit'; frame: number; field: string; value: string }
  /** Writes bytes, in hexadecimal. */
  | { kind: 'write'; frame: number; at: number; bytes: string }
  | { kind: 'undo'; frame: number }
  /** Has the interface receive a frame; with null a copy of the held one. `fix`: with right checksums. */
  | { kind: 'inject'; bytes: string | null; fix: boolean };
