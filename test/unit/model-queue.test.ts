// SPDX-License-Identifier: MIT
/** `armed`, the doorbell, stop and wake without a waiting room: every interleaving, with the store buffers of x86. */
import t from 'tap';

import { DEADLOCK } from '../model/checker';
import { holds, isCaught } from '../model/expect';
import { Queue, QUEUE_PROPERTIES, type QueueMutation, type QueueSetting } from '../model/queue';

const SETTINGS = {
  'a ring of two records': {
    ring: 2,
    scripts: [
      ['frame', 'frame'],
      ['frame', 'frame'],
    ],
  },
  'a ring of three records': {
    ring: 3,
    scripts: [
      ['frame', 'frame'],
      ['frame', 'frame'],
    ],
  },
  'a sender that does most': { ring: 2, scripts: [['frame', 'frame', 'frame'], ['frame']] },
  doorbells: {
    ring: 2,
    scripts: [
      ['frame', 'news'],
      ['frame', 'news'],
    ],
  },
  'a ring of one record, and a doorbell': { ring: 1, scripts: [['frame', 'news', 'frame'], ['frame']] },
} satisfies Record<string, QueueSetting>;

for (const [what, setting] of Object.entries(SETTINGS)) {
  t.test(`no wake-up is lost, and every stop has its wake: ${what}`, async (t) => holds(t, new Queue(setting), what));
}

const MUTANTS: [QueueMutation, keyof typeof SETTINGS, string][] = [
  ['no fence before the look at armed', 'a ring of two records', DEADLOCK],
  ['no fence after arming', 'a ring of two records', DEADLOCK],
  ['no second look at the ring', 'a ring of two records', DEADLOCK],
  ['no second look at the gate', 'a ring of two records', DEADLOCK],
  ['no second look after stopping', 'a ring of two records', DEADLOCK],
  ['no doorbell', 'doorbells', DEADLOCK],
  ['doorbell disarms first', 'doorbells', DEADLOCK],
  ['woken without compare-and-swap', 'a ring of two records', QUEUE_PROPERTIES.stops],
  ['sender wakes without compare-and-swap', 'a ring of two records', QUEUE_PROPERTIES.stops],
  ['stops counted by everybody', 'a ring of two records', QUEUE_PROPERTIES.stops],
  ['submitted before it is copied', 'a ring of two records', QUEUE_PROPERTIES.whole],
];

for (const [mutation, setting, property] of MUTANTS) {
  t.test(`the search finds the mutant: ${mutation}`, async (t) => {
    isCaught(t, new Queue({ ...SETTINGS[setting], mutation }), mutation, property);
  });
}
