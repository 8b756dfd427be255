// SPDX-License-Identifier: MIT
/** Where there is no screen: a line for each interface and interval. */
import { nameOf, type Change, type Row } from './board';
import { dropsText } from './card';
import { dropsOf, sumOf } from './rates';
import { sorted } from './sort';
import { fillOf } from './standing';
import { bitRate, packetRate, percent, short } from './text';

export function plainLines(rows: readonly Row[], changes: readonly Change[]): string[] {
  return [...changes.map(({ name, what }) => `${name}: ${what}`), ...sorted(rows, 'name').flatMap(plainLine)];
}

/** None before there are two readings. */
function plainLine({ stats, rates }: Row): string[] {
  if (!rates) return [];
  const cells = [
    stats.state,
    `tx ${packetRate(rates.txPackets)} ${bitRate(rates.txBits)}`,
    `rx ${packetRate(rates.rxPackets)} ${bitRate(rates.rxBits)}`,
    `queue ${percent(fillOf(stats))}`,
    `held ${stats.held.now}`,
    `${short(rates.stops)} stops/s`,
    `${short(rates.polls)} polls/s`,
    `${percent(rates.budgetUsedUp)} over budget`,
    `drops ${dropsText(rates.drops, sumOf(dropsOf(stats)))[0]}`,
  ];
  return [`${nameOf(stats)}: ${cells.join(', ')}`];
}
