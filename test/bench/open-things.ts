// SPDX-License-Identifier: MIT
/** What the benchmark has made and not yet removed, so that an interrupted run leaves nothing behind either. */

type Undo = () => void;

const undos = new Set<Undo>();

/** Registers how to remove something; the returned function removes it, once. */
export function removable(undo: Undo): Undo {
  const once = (): void => {
    if (undos.delete(once)) undo();
  };
  undos.add(once);
  return once;
}

/** Removes everything, the latest first. */
export function removeAll(): void {
  for (const undo of [...undos].reverse()) {
    try {
      undo();
    } catch (error) {
      console.error(`bench: ${(error as Error).message}`);
    }
  }
}
