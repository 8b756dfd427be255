// SPDX-License-Identifier: MIT
export interface Profile {
  words: string;
  what: string;
  /** Milliseconds that a ping takes, more or less the jitter: alone, and at most beside a flow of TCP that fills the queue. */
  ping: { idle: number; loaded: number };
}

/**
 * Wires with a name. The values are for one way: a request and its answer pass the wire once each, so a round trip
 * takes twice the delay, and under load twice the queue. They are round figures of what such links are like, not measurements.
 */
export const PROFILES: Readonly<Record<string, Profile>> = {
  '4g': { words: 'delay 25ms 5ms loss 0.1% rate 20mbit queue 100ms', what: 'mobile network of the fourth generation, good reception', ping: { idle: 50, loaded: 260 } },
  '3g': { words: 'delay 75ms 15ms loss 0.5% rate 2mbit queue 300ms', what: 'mobile network of the third generation', ping: { idle: 150, loaded: 780 } },
  dsl: { words: 'delay 15ms 2ms loss 0.01% rate 16mbit queue 100ms', what: 'telephone line of a household', ping: { idle: 30, loaded: 240 } },
  satellite: { words: 'delay 280ms 5ms loss 0.5% rate 20mbit queue 200ms', what: 'satellite in a geostationary orbit', ping: { idle: 560, loaded: 970 } },
  'lossy-wifi': { words: 'delay 3ms 4ms loss 3% 25% rate 40mbit queue 50ms', what: 'wireless network with a weak signal: losses come in bursts', ping: { idle: 6, loaded: 150 } },
  modem: { words: 'delay 70ms 10ms loss 0.1% rate 56kbit queue 600ms', what: 'telephone modem', ping: { idle: 140, loaded: 2210 } },
};
