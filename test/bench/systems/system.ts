// SPDX-License-Identifier: MIT
/** Something that loops frames, and one running instance of it in a namespace of its own. */

export interface Stage {
  netns: string;
  /** The looping interface. */
  iface: string;
  /** The process that loops, or null where the kernel does it alone. */
  pid: number | null;
  /** Removes everything; resolves when it is gone. */
  close(): Promise<void>;
}

export interface System {
  /** Short name, in tables and in --systems. */
  name: string;
  /** Sets up an instance. A looping thread that is bound to a CPU is bound to `cpu`. */
  open(cpu: number): Promise<Stage>;
}
