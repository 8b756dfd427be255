// SPDX-License-Identifier: MIT
/**
 * Faults in place of a hook: the engine judges the frames. It fails closed: a frame that the engine cannot judge is
 * dropped, and without its thread nothing passes, so no frame gets through unjudged.
 */
import { VnetError } from '../errors';
import { readFaults } from '../faults/document';
import { Engine } from '../faults/engine';
import { requirePossible } from '../faults/impossible';
import { ruleText } from '../faults/language';
import type { Fault } from '../faults/log';
import type { LogWriter } from '../faults/log-writer';
import type { Faults, Rule } from '../faults/rules';
import { faultsIn, type FaultsWish } from '../faults/source';
import type { Frame } from '../packet/frame';
import { clock } from '../native/clock';
import type { HookContext, Verdict } from './contract';
import type { FaultContext, Wait } from './host';
import { type LoadedHook, loadExport } from './load';

/** How long a line of the log may wait to be written, in milliseconds. */
const FLUSH_MS = 100;

/** What is in place, for `vnet-bpf faults --show`. */
export interface FaultsReport {
  seed: number;
  rules: {
    id: number;
    /** In words. */
    text: string;
    /** How many frames the rule has matched, and to how many of them something happened. */
    matched: number;
    applied: number;
  }[];
  /** Number of lines that are missing from the log. */
  missed: number;
}

export interface FaultHook extends LoadedHook {
  report(): FaultsReport;
}

/** The faults that are asked for; a module is loaded anew each time. Throws USAGE or HOOK. */
export async function loadFaults(wish: FaultsWish): Promise<Faults> {
  if ('document' in wish) return faultsIn(wish.document);
  const { value } = await loadExport(wish.file, 'faults');
  const faults = readFaults(value, true);
  requirePossible(faults.rules);
  return wish.seed === null ? faults : { ...faults, seed: wish.seed };
}

/** Throws UNSUPPORTED for a rule that takes the carrier of `iface` away, which has no other end. */
export function requireNoCarrierLoss(rules: readonly Rule[], iface: string): void {
  const rule = rules.find(({ effects }) => effects.some(({ kind }) => kind === 'carrier'));
  if (rule)
    throw new VnetError(
      'UNSUPPORTED',
      `rule ${rule.id}, "${ruleText(rule)}"`,
      `${iface} is a dummy: it has no carrier that could be taken away`,
      { hint: 'cut in place of carrier, or a veth' },
    );
}

/** `file`: the module with the rules, for messages about its functions; null if there is none. */
export function faultHook(faults: Faults, file: string | null, log: LogWriter): FaultHook {
  const indexes = new Map(faults.rules.map(({ id }, i) => [id, i]));
  let noteFault: (rule: number) => void = () => undefined;
  const note = (fault: Fault): void => {
    log.add(fault);
    noteFault(indexes.get(fault.rule) as number);
  };
  const engine = new Engine(faults, note, performance.timeOrigin);
  // One object serves for all answers: each is read before the next frame is judged.
  const answer: { -readonly [K in keyof Wait]: Wait[K] } = { delay: 0, until: 0, ticket: 0, frame: undefined };

  const judge = (frame: Frame, context: HookContext): Verdict => {
    if (engine.skips(frame)) return 'pass';
    const now = clock.now();
    const decision = engine.judge(frame, now);
    if (engine.carrierLossMs > 0) (context as FaultContext).loseCarrier(engine.takeCarrierLoss());
    if (engine.released.length > 0)
      for (const ticket of engine.released.splice(0)) (context as FaultContext).hasten(ticket);
    if (decision === null) return 'pass';
    for (const made of decision.made) context.inject(made, decision.delayMs);
    if (decision.drop) return 'drop';
    if (decision.delayMs === 0) return decision.bytes ?? 'pass';
    answer.delay = decision.delayMs;
    answer.until = now + decision.delayMs;
    answer.ticket = engine.ticket;
    answer.frame = decision.bytes ?? undefined;
    return answer;
  };

  return {
    name: 'faults',
    file: file ?? 'faults',
    place: file ?? 'faults',
    whole: false,
    isFaults: true,
    frame: judge,
    ignores: (frame) => engine.ignores(frame),
    start(context) {
      ({ noteFault } = context as FaultContext);
      log.soon = () => void context.after(FLUSH_MS, () => log.flush());
      log.begin();
    },
    stop: () => log.flush(),
    report: () => {
      log.flush();
      const counts = engine.counts;
      return {
        seed: faults.seed,
        missed: log.missed,
        rules: faults.rules.map((rule, i) => ({ text: ruleText(rule), ...(counts[i] as (typeof counts)[0]) })),
      };
    },
  };
}
