// SPDX-License-Identifier: MIT
/**
 * Faults in place of a hook: the engine judges the frames. It fails closed: a frame that the engine cannot judge is
 * dropped, and without its thread nothing passes, so no frame gets through unjudged.
 */
import { VnetError } from '../errors';
import { readFaults } from '../faults/document';
import { Engine } from '../faults/engine';
import { impairingFaults } from '../faults/impairment';
import { requirePossible } from '../faults/impossible';
import { ruleText } from '../faults/language';
import type { Fault } from '../faults/log';
import type { LogWriter } from '../faults/log-writer';
import type { Faults, Rule } from '../faults/rules';
import { besides, faultsIn, type ImpairmentWish, type RulesWish, withTraces } from '../faults/source';
import type { Frame } from '../packet/frame';
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
  readonly rules: readonly Rule[];
  report(): FaultsReport;
}

/** The faults that are asked for; a module is loaded anew each time. Throws USAGE or HOOK. */
export async function loadFaults(wish: RulesWish): Promise<Faults> {
  if ('document' in wish) return faultsIn(wish.document);
  const { value } = await loadExport(wish.file, 'faults');
  const { seed, rules } = readFaults(value, true);
  requirePossible(rules);
  return { seed: wish.seed ?? seed, rules: withTraces(rules, besides(wish.file)) };
}

/** An impairment by rules, which neither tells connections apart nor is logged. Throws UNSUPPORTED. */
export function impairmentHook({ impairment, seed }: ImpairmentWish): LoadedHook {
  const { faults, waitsMost } = impairingFaults(impairment, seed);
  // netem takes superpackets whole, too, except to corrupt them.
  const whole = !faults.rules.some(({ effects }) => effects.some(({ kind }) => kind === 'corrupt'));
  return { ...hookOf(new Engine(faults, null, performance.timeOrigin, true), 'impairment', null), whole, waitsMost };
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
  return {
    ...hookOf(engine, 'faults', file),
    rules: faults.rules,
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

function hookOf(engine: Engine, name: string, file: string | null): LoadedHook {
  // One object serves for all answers: each is read before the next frame is judged.
  const answer: { -readonly [K in keyof Wait]: Wait[K] } = { delay: 0, until: 0, ticket: 0, frame: undefined };

  const move = (context: HookContext): void => {
    for (const { ticket, due } of engine.decided.splice(0)) (context as FaultContext).move(ticket, due);
  };

  const judge = (frame: Frame, context: HookContext): Verdict => {
    if (engine.skips(frame)) return 'pass';
    const { now } = context as FaultContext;
    const decision = engine.judge(frame, now);
    if (engine.carrierLossMs > 0) (context as FaultContext).loseCarrier(engine.takeCarrierLoss());
    if (engine.released.length > 0)
      for (const ticket of engine.released.splice(0)) (context as FaultContext).hasten(ticket);
    if (engine.decided.length > 0) move(context);
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
    name,
    file: file ?? name,
    place: file ?? name,
    whole: false,
    isFaults: true,
    frame: judge,
    concerns: engine.concerns,
    waiting: {
      decidesAt: () => engine.due,
      decide(now, context) {
        engine.advance(now);
        move(context);
      },
    },
    ignores: (frame) => engine.ignores(frame),
    start: undefined,
    stop: undefined,
  };
}
