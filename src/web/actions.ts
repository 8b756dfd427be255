// SPDX-License-Identifier: MIT
/** What a page may do to an interface: the orders that `faults`, `impair` and `carrier` give, and a cut. */
import { ControlClient, type Order } from '../control/socket';
import { usageError, VnetError } from '../errors';
import { readWish } from '../faults/source';
import { checkedWords } from '../impair/words';
import { areRules } from '../options/values';
import { type Attachment, controlSocket } from '../state/store';
import type { Refusal, Setting } from './protocol';

/** Timeout in milliseconds, as for `vnet-bpf faults`: looking up names in filters may take long. */
const TIMEOUT_MS = 60_000;

/** Rules may name traces, whose content would show in messages. Throws USAGE. */
function noFile(name: string): never {
  throw usageError(`trace "${name}"`, 'is the name of a file, and a page names none', 'give its times: trace 0,2,40');
}

/** The order that carries out an action. Throws USAGE. */
function orderOf(action: Setting): Order {
  const none = { order: 'faults', document: null, file: null, seed: null };
  switch (action.kind) {
    case 'faults':
      // A file could be a module, which runs as root.
      if (!areRules(action.rules))
        throw usageError(
          'faults',
          'are not rules in words',
          'such as: icmp nth 2: drop; files are for vnet-bpf faults',
        );
      return { ...none, ...readWish(action.rules, action.seed, noFile) };
    case 'clear-faults':
      return none;
    case 'impair': {
      const words = action.words.split(/\s+/).filter((word) => word !== '');
      return { order: 'impair', words: words.length === 0 ? null : checkedWords(words) };
    }
    case 'carrier':
      return { order: 'carrier', direction: action.state, forMs: action.state === 'up' ? null : action.forMs };
    case 'cut':
      return { order: 'cut', ms: action.ms };
  }
}

/** Carries out an action. Throws a VnetError if it cannot be done. */
export async function carryOut(action: Setting, attachment: Attachment): Promise<void> {
  const order = orderOf(action);
  using client = await ControlClient.connect(controlSocket(attachment.id));
  await client.ask(order, TIMEOUT_MS);
}

/** An error as a page shows it. */
export const refusalOf = (error: unknown): Refusal => ({
  message: error instanceof Error ? error.message : typeof error,
  hint: (error instanceof VnetError && error.hint) || null,
});
