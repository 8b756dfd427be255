// SPDX-License-Identifier: MIT
/** The live screen. */
import { cannotBeWritten } from '../native/standard-streams';
import { showsBlocks, showsColours } from '../native/terminal-abilities';
import { Board, type Change, type Look, type Row } from '../top/board';
import { ASCII, BLOCKS } from '../top/glyphs';
import { screen } from '../top/screen';
import { sorted } from '../top/sort';
import { Screen } from '../top/terminal';
import { FIRST_VIEW, press, type View } from '../top/view';
import { endSignals } from './signals';

/** How long it is told that an interface came or went. */
const NEWS_MS = 10_000;

/** Resolves when the user has seen enough. */
export async function showScreen(look: () => Look[], seconds: number): Promise<void> {
  const inbox = new Inbox();
  // SIGQUIT, too: whatever ends it, the terminal is given back.
  for (const name of [...endSignals(), 'SIGQUIT'] as const) process.once(name, () => inbox.put('q'));
  const board = new Board(seconds * 1000);
  let view: View = FIRST_VIEW;
  let rows: Row[] = [];
  let news: { change: Change; until: number } | null = null;
  let time = new Date();
  const blocks = showsBlocks(process.env);
  using terminal = new Screen({ colours: showsColours(process.env), ascii: !blocks }, (key) => inbox.put(key));
  for (let due = performance.now(); ; ) {
    const now = performance.now();
    if (now >= due) {
      // It goes on looking while it is paused, so that the minute has no hole.
      const seen = board.update(look(), now);
      due = now + seconds * 1000;
      const change = seen.changes.at(-1);
      if (change) news = { change, until: now + NEWS_MS };
      if (!view.paused) [rows, time] = [seen.rows, new Date()];
    }
    const shown = { rows, view, seconds, time, glyphs: blocks ? BLOCKS : ASCII, news: news !== null && now < news.until ? news.change : null };
    terminal.draw(screen(shown, terminal.size));
    for (const key of await inbox.take(due - performance.now())) {
      if (terminal.lost !== null) throw cannotBeWritten(1, terminal.lost);
      if (key === 'CTRL_Z') terminal.suspend(0);
      if (key === 'SIGTSTP') terminal.suspend(process.pid);
      if (key === 'SIGCONT') terminal.continued();
      const next = press(view, key, sorted(rows, view.order).map(({ id }) => id));
      if (next === 'quit') return;
      view = next;
    }
  }
}

/** Keys and signals, which are looked at between two drawings: an error there ends the command like any other. */
class Inbox {
  private keys: string[] = [];
  private wake: (() => void) | undefined;

  put(key: string): void {
    this.keys.push(key);
    this.wake?.();
  }

  /** What has come, waiting for the first at most so long. */
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
