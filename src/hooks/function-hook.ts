// SPDX-License-Identifier: MIT
/** A hook that is a function of the program, in the thread of the interface: asks the program (function-host.ts). */
import { receiveMessageOnPort } from 'node:worker_threads';

import { clock } from '../native/clock';
import type { HookContext, Verdict } from './contract';
import { FUNCTION_FILE, type FunctionLink, type Question, type Said, type ThrownError } from './function-host';
import type { LoadedHook } from './load';

/** How long the program may take to answer, in milliseconds: less than the 10 s after which a thread counts as stuck. */
const ANSWER_MS = 5000;

type WithoutId<Q> = Q extends Question ? Omit<Q, 'id'> : never;

/** The link is used until the hook is stopped. */
export function functionHook({ port, signal, name, whole }: FunctionLink): LoadedHook {
  const word = new Int32Array(signal);
  let id = 0;
  let context: HookContext | null = null;

  const carryOut = (said: Exclude<Said, { kind: 'answer' }>): void => {
    if (said.kind === 'log') context?.log(said.text);
    else if (said.kind === 'inject') context?.inject(said.bytes, said.delay);
    // It is no error of the frame that is being judged.
    else
      setImmediate(() => {
        throw errorOf(said.error);
      });
  };

  /** The answer to a question. While it waits, nothing else happens in this thread. */
  const ask = (question: WithoutId<Question>): unknown => {
    id = (id + 1) | 0;
    port.postMessage({ ...question, id });
    for (const end = clock.now() + ANSWER_MS; ;) {
      const seen = Atomics.load(word, 0);
      if (seen === id) break;
      if (Atomics.wait(word, 0, seen, Math.max(0, end - clock.now())) === 'timed-out')
        throw new Error(
          `the program has not answered for ${ANSWER_MS / 1000} s: nothing may block the thread of the hook`,
        );
    }
    for (;;) {
      const received = receiveMessageOnPort(port) as { message: Said } | undefined;
      if (received === undefined) throw new Error('the program has not answered');
      const { message } = received;
      if (message.kind !== 'answer') carryOut(message);
      else if (message.id === id) {
        if (message.error) throw errorOf(message.error);
        return message.verdict;
      }
    }
  };

  return {
    name,
    file: FUNCTION_FILE,
    place: FUNCTION_FILE,
    whole,
    start(given) {
      context = given;
      // What timers of the function do between two frames.
      port.on('message', (said: Said) => said.kind !== 'answer' && carryOut(said));
      ask({ kind: 'start', interface: given.interface, mac: given.mac, generation: given.generation });
    },
    frame: (frame) => ask({ kind: 'frame', bytes: Uint8Array.from(frame.bytes) }) as Verdict,
    stop() {
      ask({ kind: 'stop' });
      port.close();
    },
  };
}

function errorOf({ name, message, stack }: ThrownError): Error {
  const error = new Error(message);
  error.name = name;
  if (stack !== undefined) error.stack = stack;
  return error;
}
