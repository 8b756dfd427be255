// SPDX-License-Identifier: MIT
/**
 * Finds rules that can never match, or whose effect can never happen, before they are put in place. It uses what
 * libpcap's optimizer finds out about a filter, which is not everything.
 */
import { usageError } from '../errors';
import { rejectsAll } from '../packet/filter';
import { effectText, ruleText } from './language';
import type { Effect, EffectKind, Match, Rule } from './rules';

/** What a frame must be for an effect to be possible, as a filter. */
const NEEDS: Readonly<Partial<Record<EffectKind, string>>> = {
  reset: 'tcp',
  ecn: '(ip or ip6)',
  unreachable: '(ip or ip6)',
  'too-big': '(ip or ip6)',
};
const AT_BYTE_NEEDS = 'tcp';

/** Compiles all filters. Throws USAGE for one that libpcap does not understand, and for a rule that cannot match. */
export function requirePossible(rules: readonly Rule[]): void {
  for (const rule of rules) {
    const why =
      whyNot(rule.match) ??
      firstOf(rule.effects, (effect) => effectWhyNot(rule.match, effect)) ??
      afterTheLast(rule.effects);
    if (why !== null)
      throw usageError(
        `rule ${rule.id}, "${ruleText(rule)}"`,
        `can never take effect: ${why}`,
        'change it, or leave it out',
      );
  }
}

function firstOf<T>(list: readonly T[], why: (each: T) => string | null): string | null {
  for (const each of list) {
    const found = why(each);
    if (found !== null) return found;
  }
  return null;
}

/** Why no frame can match; null if one may. */
function whyNot({ filter = '', after, nth, every, first, atByte }: Match): string | null {
  if (isEmpty(filter)) return `no frame matches "${filter}"`;
  if (atByte !== undefined && isEmpty(filter, AT_BYTE_NEEDS)) return `at-byte is about TCP, and "${filter}" is not`;
  const least = nth?.find((n) => (every === undefined || n % every === 0) && (first === undefined || n <= first));
  if (nth !== undefined && least === undefined)
    return `none of nth ${nth.join(',')} is also ${[every === undefined ? [] : `every ${every}`, first === undefined ? [] : `first ${first}`].flat().join(' and ')}`;
  if (every !== undefined && first !== undefined && every > first)
    return `the first ${first} frames have none that is every ${every}`;
  const why = after === undefined ? null : whyNot(after);
  return why === null ? null : `after: ${why}`;
}

/** Whether no frame goes on after an effect. A reset, for example, may be impossible for a frame, which then passes. */
const isLast = (effect: Effect): boolean =>
  effect.kind === 'loss' ? effect.probability === 1 : ['drop', 'cut', 'carrier', 'blackhole'].includes(effect.kind);

function afterTheLast(effects: readonly Effect[]): string | null {
  const last = effects.findIndex(isLast);
  const [effect, next] = last < 0 ? [] : effects.slice(last);
  return effect === undefined || next === undefined
    ? null
    : `"${effectText(next)}" comes after "${effectText(effect)}", and nothing is left of the frame`;
}

function effectWhyNot({ filter = '' }: Match, effect: Effect): string | null {
  const { kind } = effect;
  if ('queue' in effect && !('codel' in effect.queue) && (effect.targetMs ?? effect.intervalMs) !== null)
    return 'target and interval are those of "queue codel"';
  const needed = NEEDS[kind];
  return needed !== undefined && isEmpty(filter, needed)
    ? `${kind} is about ${needed.replace(/[()]/g, '')}, and "${filter}" is not`
    : null;
}

/**
 * Whether libpcap can tell that no frame matches a filter, or both filters. The other one comes second, because some
 * words, such as vlan, change what later words mean.
 */
const isEmpty = (filter: string, and?: string): boolean =>
  rejectsAll(and === undefined ? filter : filter === '' ? and : `(${filter}) and ${and}`);
