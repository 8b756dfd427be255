// SPDX-License-Identifier: MIT
/** Numbers and times as the page shows them. */

const GROUPED = new Intl.NumberFormat('en');
const PREFIXES = ['', 'k', 'M', 'G', 'T'] as const;

/** A count with all its digits: 12,345. */
export const count = (value: number): string => GROUPED.format(Math.round(value));

/** A number in at most four digits: 9,999, then 12.3 k. */
export function short(value: number): string {
  if (Math.abs(value) < 10) return String(Math.round(value * 10) / 10);
  let [scaled, prefix] = [value, 0];
  while (Math.abs(scaled) >= 9999.5 || (prefix > 0 && Math.abs(scaled) >= 999.5)) {
    scaled /= 1000;
    prefix++;
  }
  if (prefix === 0) return count(scaled);
  return `${Math.abs(scaled) < 100 ? scaled.toFixed(1) : scaled.toFixed()} ${PREFIXES[prefix] ?? ''}`.trim();
}

/** A rate with its unit: 12.3 kbit/s, 512 bit/s, 7/s. */
export function perSecond(value: number, unit: string): string {
  const text = short(value);
  return unit === '' || /[a-z]$/i.test(text) ? `${text}${unit}/s` : `${text} ${unit}/s`;
}

/** Bytes in binary units: 8 MiB. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let [scaled, unit] = [value, 0];
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit++;
  }
  const digits = unit === 0 || scaled >= 100 || Number.isInteger(scaled) ? 0 : 1;
  return `${scaled.toFixed(digits)} ${units[unit] as string}`;
}

/** A share from 0 to 1: 12 %. */
export const percent = (share: number): string =>
  share > 0 && share < 0.01 ? '< 1 %' : `${Math.round(share * 100)} %`;

/** The time of day of milliseconds since the epoch, in the browser's time zone: 20:15:03.123. */
export function timeOfDay(ms: number): string {
  const date = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
