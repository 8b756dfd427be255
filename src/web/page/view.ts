// SPDX-License-Identifier: MIT
/** What the parts of the page share. */
import type { ComponentChildren } from 'preact';
import { useEffect, useReducer, useRef } from 'preact/hooks';

import type { Model } from './model';

/** Draws a component again after changes of the model, at most once for each picture of the screen. */
export function useModel(model: Model): void {
  const [, again] = useReducer<number, void>((turn) => turn + 1, 0);
  useEffect(() => {
    let due = 0;
    const unsubscribe = model.subscribe(() => {
      due ||= requestAnimationFrame(() => {
        due = 0;
        again();
      });
    });
    again();
    return () => {
      unsubscribe();
      cancelAnimationFrame(due);
    };
  }, [model]);
}

/** Has frames recorded while the view is open: nobody is to pay for frames that are not shown. */
export function useFrames(model: Model, wanted = true): void {
  useEffect(() => (wanted ? model.showFrames() : undefined), [model, wanted]);
}

/** What is shown: `current`, or while paused what that was when the pause began. */
export function usePaused<T>(current: T, paused: boolean): T {
  const kept = useRef<{ value: T } | null>(null);
  if (!paused) kept.current = null;
  else kept.current ??= { value: current };
  return kept.current ? kept.current.value : current;
}

/** A view below the loop: its tab and its tools above it. */
export interface ViewProps {
  model: Model;
  paused: boolean;
  tabs: ComponentChildren;
  pause: ComponentChildren;
}
