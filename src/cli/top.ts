// SPDX-License-Identifier: MIT
/** `vnet-bpf top`: a live screen, or lines where standard output is not a terminal. */
import { isatty } from 'node:tty';

import { requirePrivileges } from '../controller/privileges';
import { statsIfThere } from '../datapath/stats-if-there';
import { VnetError } from '../errors';
import { requireReader } from '../native/standard-streams';
import { movesCursor } from '../native/terminal-abilities';
import { Board, type Look } from '../top/board';
import { plainLines } from '../top/plain';
import { print } from './output';
import { checkSelection, secondsOf, selected, type Selection } from './selection';
import { showScreen } from './top-screen';

interface TopArguments extends Selection {
  interval: string;
}

export async function topCommand(args: TopArguments): Promise<void> {
  const seconds = secondsOf('--interval', args.interval);
  checkSelection(args);
  requirePrivileges();
  selected(args); // an interface that is not there now is an error; one that goes later is not
  const look = (): Look[] => looks(args);
  if (hasScreen()) return showScreen(look, seconds);
  const board = new Board(seconds * 1000);
  for (;;) {
    const { rows, changes } = board.update(look(), performance.now());
    const lines = plainLines(rows, changes);
    if (lines.length > 0) print(...lines);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    requireReader();
  }
}

/** A terminal on both sides that can move its cursor. */
const hasScreen = (): boolean => isatty(0) && isatty(1) && movesCursor(process.env);

function looks(selection: Selection): Look[] {
  return attachments(selection).flatMap((attachment) => {
    const stats = statsIfThere(attachment);
    const { id, budget, whenFull } = attachment;
    return stats === null ? [] : [{ id, budget, whenFull, stats }];
  });
}

/** The named one may go, and come again. */
function attachments(selection: Selection): ReturnType<typeof selected> {
  try {
    return selected(selection);
  } catch (error) {
    if (error instanceof VnetError && (error.code === 'NOT_ATTACHED' || error.code === 'NO_SUCH_NETNS')) return [];
    throw error;
  }
}
