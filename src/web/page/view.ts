// SPDX-License-Identifier: MIT
/** What the parts of the page share. */
import type { ComponentChildren } from 'preact';
import { useEffect, useReducer } from 'preact/hooks';

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

/** A view below the loop: its tab and its tools above it. */
export interface ViewProps {
  model: Model;
  paused: boolean;
  tabs: ComponentChildren;
  pause: ComponentChildren;
}
