// SPDX-License-Identifier: MIT
/**
 * chaos: a bad wire that is the same each time. What happens to frame number n depends only on the seed and on n.
 * CHAOS_LOG=FILE records what happened; CHAOS_REPLAY=FILE makes it happen again.
 *
 *   CHAOS_SEED=7 CHAOS_LOG=/root/run.log vnet-bpf attach vnet0 --addr 10.77.0.1/24 --hook chaos.ts
 */
import * as fs from 'node:fs';

import type { Frame, Hook, HookContext, Verdict } from 'vnet-bpf/hooks';

/** How often each happens, per thousand frames. */
const PER_MILLE = { lose: 20, delay: 50, duplicate: 10, reorder: 20, corrupt: 10, truncate: 5 } as const;
const DELAY_MS_MAX = 20;

type Action = keyof typeof PER_MILLE | 'pass';

const { CHAOS_SEED = '1', CHAOS_LOG, CHAOS_REPLAY } = process.env;

/** State of the random number generator (xorshift32). */
let state = Number(CHAOS_SEED) >>> 0 || 1;
function random(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>>= 0);
}

/** Draws two numbers for each frame, whatever happens to it, so that frame n always gets the same ones. */
function draw(): [Action, number] {
  let dice = random() % 1000;
  const number = random();
  for (const [action, share] of Object.entries(PER_MILLE)) {
    if (dice < share) return [action as Action, number];
    dice -= share;
  }
  return ['pass', number];
}

const replay = CHAOS_REPLAY === undefined ? null : fs.readFileSync(CHAOS_REPLAY, 'utf8').split('\n').filter(Boolean);
let frames = 0;
let lines: string[] = [];
/** A frame that waits until the next one has overtaken it. */
let held: Uint8Array | null = null;

function nextAction(): [Action, number] {
  const said = replay?.[frames]?.split(' ');
  const [action, number] = replay === null ? draw() : [(said?.[1] ?? 'pass') as Action, Number(said?.[2] ?? 0)];
  lines.push(`${frames++} ${action} ${number}`);
  if (lines.length >= 1000) writeLog();
  return [action, number];
}

function writeLog(): void {
  if (CHAOS_LOG !== undefined && lines.length > 0) fs.appendFileSync(CHAOS_LOG, `${lines.join('\n')}\n`);
  lines = [];
}

function apply(frame: Frame, nic: HookContext, action: Action, number: number): Verdict {
  switch (action) {
    case 'pass':
      return 'pass';
    case 'lose':
      return 'drop';
    case 'delay': {
      const late = frame.copy();
      nic.after(1 + (number % DELAY_MS_MAX), () => nic.inject(late));
      return 'drop';
    }
    case 'duplicate':
      nic.inject(frame.bytes);
      return 'pass';
    case 'reorder':
      if (held) return 'pass';
      held = frame.copy();
      return 'drop';
    case 'corrupt': {
      const { bytes } = frame;
      const at = 14 + (number % (bytes.length - 13)); // after the Ethernet header, if there is anything
      if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << (number >>> 29));
      return bytes;
    }
    case 'truncate':
      return frame.bytes.subarray(0, 14 + (number % (frame.length - 13)));
  }
}

const chaos: Hook = {
  frame(frame, nic) {
    const overtaken = held;
    const [action, number] = nextAction();
    const verdict = apply(frame, nic, action, number);
    if (overtaken && held === overtaken) {
      nic.inject(overtaken); // follows the frame that arrived after it
      held = null;
    }
    return verdict;
  },
  start(nic) {
    if (CHAOS_LOG !== undefined) fs.writeFileSync(CHAOS_LOG, '', { mode: 0o600 });
    // A held frame must not wait forever if no other follows.
    nic.every(100, () => {
      if (held) nic.inject(held);
      held = null;
      writeLog();
    });
  },
  stop: writeLog,
};

export default chaos;
