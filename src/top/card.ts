// SPDX-License-Identifier: MIT
/** One interface in five lines. */
import { bytes } from '../cli/output';
import { nameOf, type Row } from './board';
import { dropsOf, sumOf } from './rates';
import { fillOf } from './sort';
import { bar, bitRate, packetRate, part, percent, short, type Line, type Style } from './text';

export const CARD_LINES = 5;
const BAR = 30;
const MINUTE_COLUMNS = 60;

const STATE_STYLE: Readonly<Record<string, Style>> = { running: 'good', stopped: 'warning', crashed: 'bad', detached: 'bad' };

export function card(row: Row, chosen: boolean): Line[] {
  const { stats, budget, whenFull } = row;
  const head = `${chosen ? '>' : ' '} ${nameOf(stats).padEnd(32)} `;
  return [
    [part(head, chosen ? 'chosen' : 'title'), part(stats.state, STATE_STYLE[stats.state] ?? 'plain'), part(`  ${stats.backend}, ${whenFull} when full, budget ${budget}`, 'faint')],
    ratesLine(row),
    queueLine(row),
    timelineLine(row),
    pollLine(row),
  ];
}

const label = (text: string): string => `    ${text.padEnd(6)}`;

function ratesLine({ rates }: Row): Line {
  const both = (packets: number | undefined, bits: number | undefined): string => `${packetRate(packets).padStart(15)} ${bitRate(bits).padStart(12)}`;
  return [part(`${label('tx')}${both(rates?.txPackets, rates?.txBits)}    rx ${both(rates?.rxPackets, rates?.rxBits)}`)];
}

function queueLine({ stats }: Row): Line {
  const { queue, held } = stats;
  const fill = fillOf(stats);
  return [
    part(label('queue')),
    part(bar(fill, queue.lowWatermarkBytes / queue.capacityBytes, BAR), queue.stopped ? 'warning' : 'plain'),
    part(` ${percent(fill).padStart(5)} of ${bytes(queue.capacityBytes)}`),
    part(`   held ${short(held.now)}`, held.now > 0 ? 'warning' : 'plain'),
  ];
}

function timelineLine({ timeline, rates }: Row): Line {
  return [part(`${label('stops')}${timeline(MINUTE_COLUMNS)}`), part(` ${rates ? short(rates.stops) : '-'}/s`, rates && rates.stops > 0 ? 'warning' : 'faint')];
}

function pollLine({ rates, stats }: Row): Line {
  const polls = rates ? `${short(rates.polls)} polls/s, ${percent(rates.budgetUsedUp)} over budget` : '- polls/s';
  const [drops, bad] = dropsText(rates?.drops, sumOf(dropsOf(stats)));
  return [part(`${label('poll')}${polls.padEnd(34)}`), part(`drops ${drops}`, bad ? 'bad' : 'plain')];
}

/** Those of this moment by reason, or how many there ever were. */
export function dropsText(now: ReadonlyMap<string, number> | undefined, ever: number): [string, boolean] {
  const reasons = [...(now ?? [])].sort(([, a], [, b]) => b - a).map(([reason, perSecond]) => `${reason} ${short(perSecond)}/s`);
  if (reasons.length > 0) return [reasons.join(', '), true];
  return [ever === 0 ? 'none' : `none now, ${short(ever)} in all`, false];
}
