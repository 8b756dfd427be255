// SPDX-License-Identifier: MIT
/**
 * Wires with a name. The values are for one way: a request and its answer pass the wire once each, so a round trip
 * takes twice the delay, and under load twice the queue. They are round figures of what such links are like, not measurements.
 */
export const PROFILES: Readonly<Record<string, { words: string; what: string }>> = {
  '4g': { words: 'delay 25ms 5ms loss 0.1% rate 20mbit queue 100', what: 'mobile network of the fourth generation, good reception' },
  '3g': { words: 'delay 75ms 15ms loss 0.5% rate 2mbit queue 30', what: 'mobile network of the third generation' },
  dsl: { words: 'delay 15ms 2ms loss 0.01% rate 16mbit queue 100', what: 'telephone line of a household' },
  satellite: { words: 'delay 280ms 5ms loss 0.5% rate 20mbit queue 200', what: 'satellite in a geostationary orbit' },
  'lossy-wifi': { words: 'delay 3ms 4ms loss 3% 25% rate 40mbit queue 100', what: 'wireless network with a weak signal: losses come in bursts' },
  modem: { words: 'delay 70ms 10ms loss 0.1% rate 56kbit queue 4', what: 'telephone modem' },
};
