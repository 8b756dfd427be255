// SPDX-License-Identifier: MIT
import type { LibraryHandle } from './koffi';

/**
 * Turns a table of C prototypes into an object of functions that are bound at first use.
 *
 * Nothing is loaded until a function is read from the object, so importing this package never fails because a
 * library is absent. After the first read the bound function is an own data property: no wrapper stays in between.
 */
export function bindLazily<Functions extends object>(
  open: () => LibraryHandle,
  prototypes: { readonly [Name in keyof Functions]: string },
): Functions {
  const bound = {};
  for (const [name, prototype] of Object.entries<string>(prototypes)) {
    Object.defineProperty(bound, name, {
      configurable: true,
      enumerable: true,
      get(): unknown {
        const value: unknown = open().func(prototype);
        Object.defineProperty(bound, name, { value, enumerable: true });
        return value;
      },
    });
  }
  return bound as Functions;
}

/** A function of such an object, called on a thread of libuv's pool; what its arguments point to must stay. */
export function callOnThread<Arguments extends unknown[], Result>(bound: (...args: Arguments) => Result, ...args: Arguments): Promise<Result> {
  const native = bound as unknown as { async: (...args: [...Arguments, (error: Error | null, result: Result) => void]) => void };
  return new Promise((resolve, reject) => native.async(...args, (error, result) => (error ? reject(error) : resolve(result))));
}
