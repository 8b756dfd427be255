// SPDX-License-Identifier: MIT
/** Where a function was written down: the engine's debugger knows. */
import { Session, type Runtime } from 'node:inspector';
import { findSourceMap } from 'node:module';

const NAME = '__vnetBpfFunction';

/** `host.ts:12`, or the file alone if the engine does not say. `loadedAs` is the path or the URL by which the engine knows the file. */
export function placeOfFunction(fn: unknown, file: string, loadedAs: string): string {
  const session = new Session();
  const shared = globalThis as Record<string, unknown>;
  shared[NAME] = fn;
  try {
    session.connect();
    let line: number | undefined;
    // The callbacks of a session to one's own thread are called before post() returns.
    session.post('Runtime.evaluate', { expression: `globalThis.${NAME}` }, (_error, evaluated) => {
      const { objectId } = evaluated.result;
      if (objectId === undefined) return;
      session.post('Runtime.getProperties', { objectId }, (_failed, { internalProperties = [] }) => {
        const found = internalProperties.find(({ name }) => name === '[[FunctionLocation]]')?.value as Runtime.RemoteObject | undefined;
        line = lineOf(found?.value as { lineNumber: number; columnNumber: number } | undefined, loadedAs);
      });
    });
    return line === undefined ? file : `${file}:${line}`;
  } finally {
    delete shared[NAME];
    session.disconnect();
  }
}

/** Counted from 1, in the source if it was compiled. */
function lineOf(at: { lineNumber: number; columnNumber: number } | undefined, loadedAs: string): number | undefined {
  if (at === undefined) return undefined;
  const entry = findSourceMap(loadedAs)?.findEntry(at.lineNumber, at.columnNumber);
  return (entry && 'originalLine' in entry ? (entry.originalLine as number) : at.lineNumber) + 1;
}
