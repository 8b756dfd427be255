// SPDX-License-Identifier: MIT
/** `vnet-bpf top`: shows a live screen, or lines where standard output is not a terminal. */
import { isatty } from 'node:tty';

import { statsIfThere } from '../datapath/stats';
import { nothingIsAttached } from '../errors';
import { cannotBeWritten, requireReader } from '../native/standard-streams';
import { movesCursor, showsBlocks, showsColours } from '../native/terminal';
import { requirePrivileges } from '../requirements';
import { print } from '../terminal/output';
import { endSignals } from '../terminal/signals';
import { ASCII, BLOCKS } from '../top/drawing';
import { type Change, type Look, Readings, type Row, sorted } from '../top/readings';
import { FIRST_VIEW, press, screen, type View } from '../top/screen';
import { plainLines } from '../top/table';
import { Screen } from '../top/terminal';
import { checkSelection, secondsOf, selected, selectedNow, type Selection } from './selection';

// The live screen.

/** How long the screen shows that an interface came or went, in milliseconds. */
const NEWS_MS = 10_000;

/** Shows the screen; resolves when the user quits. */
export async function showScreen(look: () => Look[], seconds: number): Promise<void> {
  const inbox = new Inbox();
  for (const name of endSignals()) process.once(name, () => inbox.put('q'));
  const readings = new Readings(seconds * 1000);
  let view: View = FIRST_VIEW;
  let rows: Row[] = [];
  let news: { change: Change; until: number } | null = null;
  let time = new Date();
  const blocks = showsBlocks(process.env);
  using terminal = new Screen({ colours: showsColours(process.env), ascii: !blocks }, (key) => inbox.put(key));
  for (let due = performance.now(); ;) {
    const now = performance.now();
    if (now >= due) {
      // Reading goes on during a pause, so that the last minute has no gap.
      const seen = readings.update(look(), now);
      due = now + seconds * 1000;
      const change = seen.changes.at(-1);
      if (change) news = { change, until: now + NEWS_MS };
      if (!view.paused) [rows, time] = [seen.rows, new Date()];
    }
    const shown = {
      rows,
      view,
      seconds,
      time,
      glyphs: blocks ? BLOCKS : ASCII,
      news: news !== null && now < news.until ? news.change : null,
    };
    terminal.draw(screen(shown, terminal.size));
    for (const key of await inbox.take(due - performance.now())) {
      if (terminal.lost !== null) throw cannotBeWritten(1, terminal.lost);
      if (key === 'CTRL_Z') terminal.suspend(0);
      if (key === 'SIGTSTP') terminal.suspend(process.pid);
      if (key === 'SIGCONT') terminal.continued();
      const next = press(
        view,
        key,
        sorted(rows, view.order).map(({ id }) => id),
      );
      if (next === 'quit') return;
      view = next;
    }
  }
}

/** Keys and signals, handled between two drawings: an error there ends the command like any other. */
class Inbox {
  private keys: string[] = [];
  private wake: (() => void) | undefined;

  put(key: string): void {
    this.keys.push(key);
    this.wake?.();
  }

  /** Takes what has arrived; waits for the first at most `ms`. */
  async take(ms: number): Promise<string[]> {
    if (this.keys.length === 0 && ms > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.keys.splice(0);
  }
}

interface TopArguments extends Selection {
  interval: string;
}

export async function topCommand(args: TopArguments): Promise<void> {
  const seconds = secondsOf('--interval', args.interval);
  checkSelection(args);
  requirePrivileges();
  selected(args); // an interface that is missing now is an error; one that goes later is not
  const look = (): Look[] => looks(args);
  if (hasScreen()) return showScreen(look, seconds);
  const readings = new Readings(seconds * 1000);
  for (let first = true; ; first = false) {
    const { rows, changes } = readings.update(look(), performance.now());
    const lines = plainLines(rows, changes);
    if (lines.length > 0) print(...lines);
    else if (first && rows.length === 0) print(nothingIsAttached(args.netns));
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    requireReader();
  }
}

/** Whether both sides are a terminal that can move its cursor. */
const hasScreen = (): boolean => isatty(0) && isatty(1) && movesCursor(process.env);

function looks(selection: Selection): Look[] {
  return selectedNow(selection).flatMap((attachment) => {
    const stats = statsIfThere(attachment);
    const { id, budget, whenFull } = attachment;
    return stats === null ? [] : [{ id, budget, whenFull, stats }];
  });
}
