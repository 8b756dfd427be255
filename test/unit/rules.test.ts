// SPDX-License-Identifier: MIT
/**
 * Rules of looped addresses among those of others, on a model of the kernel's list: whatever others do, step by step.
 */
import t from 'tap';

import {
  type Change,
  changesFor,
  changesWithout,
  isFirst,
  isNet,
  LOCAL,
  LOCAL_TABLE,
  loopTable,
  NET,
  type Rule,
} from '../../src/link/rules';
import { Random } from '../helpers/random';

const KERNEL = 2;
const BOOT = 3;
const MAIN: Rule = { priority: 32766, table: 254, protocol: KERNEL };
const DEFAULT: Rule = { priority: 32767, table: 253, protocol: KERNEL };
/** Sends everything to a table that has a default route. */
const greedy = (priority: number, protocol = BOOT): Rule => ({ priority, table: 51820, protocol, special: true });

/** The kernel's list of one family (net/core/fib_rules.c). */
class Rules {
  constructor(public list: Rule[] = [LOCAL, MAIN, DEFAULT]) {}

  /** Behind those of its priority. */
  add(rule: Rule): void {
    const at = this.list.findIndex(({ priority }) => priority > rule.priority);
    this.list.splice(at < 0 ? this.list.length : at, 0, rule);
  }

  /** fib_default_rule_pref. */
  addWithoutPriority(rule: Rule): void {
    this.add({ ...rule, priority: Math.max(0, (this.list[1]?.priority ?? 0) - 1) });
  }

  /** The first that has what is said of it (rule_find). */
  remove(rule: Rule): void {
    const same = (other: Rule): boolean =>
      other.priority === rule.priority &&
      other.table === rule.table &&
      (rule.iif ?? other.iif) === other.iif &&
      (rule.exceptGroup ?? other.exceptGroup) === other.exceptGroup;
    const at = this.list.findIndex(same);
    if (at >= 0) this.list.splice(at, 1);
  }

  /** Where a packet goes: to the machine itself, into the loop, wherever others want it, or nowhere. */
  way(packet: { looped: boolean; sent: boolean }): 'local' | 'loop' | 'elsewhere' | 'nowhere' {
    for (const { table, iif, exceptGroup, special } of this.list) {
      if (special) return 'elsewhere';
      if (table === LOCAL_TABLE && !(exceptGroup !== undefined && packet.looped)) return 'local';
      if (table >= loopTable(0) && iif === 'lo' && packet.sent && packet.looped) return 'loop';
    }
    return 'nowhere';
  }
}

const OWN = { looped: false, sent: true };
const SENT = { looped: true, sent: true };
const RECEIVED = { looped: true, sent: false };

/** What others may do; none of them asks for priority 0. */
const OTHERS: Readonly<Record<string, (rules: Rules) => void>> = {
  'a rule without a priority': (rules) => rules.addWithoutPriority(greedy(0)),
  'a rule of priority 100': (rules) => rules.add(greedy(100)),
  'a rule of priority 40': (rules) => rules.add(greedy(40)),
  'ip rule flush': (rules) => (rules.list = rules.list.filter(({ priority }) => priority === 0)),
  'systemd-networkd': (rules) => (rules.list = rules.list.filter(({ protocol }) => protocol === KERNEL)),
  'somebody takes his rules away': (rules) => (rules.list = rules.list.filter(({ special }) => !special)),
  // `ip rule save` leaves out a priority of 0.
  'ip rule save and restore': (rules) =>
    rules.list.filter(({ priority }) => priority === 0).forEach((rule) => rules.addWithoutPriority(rule)),
  'the rule for the main table': (rules) => rules.add({ ...MAIN, protocol: BOOT }),
};

/** Applies changes as hairpin.ts does, with a look at every state in between. */
function settle(rules: Rules, changes: (present: readonly Rule[]) => Change, look: () => void): Change {
  for (let round = 0; round < 5; round++) {
    const change = changes(rules.list);
    if (change.add.length + change.remove.length === 0) return change;
    const steps = [
      ...change.add.map((rule) => () => rules.add(rule)),
      ...(change.behindAdded ?? []).flatMap((rule) => [() => rules.add(rule), () => rules.remove(rule)]),
      ...change.remove.map((rule) => () => rules.remove(rule)),
    ];
    for (const step of steps) {
      step();
      look();
    }
  }
  throw new Error(`no end: ${JSON.stringify(rules.list)}`);
}

const loop = (rules: Rules, ifindex: number, look: () => void = () => undefined): Change =>
  settle(rules, (present) => changesFor([loopTable(ifindex)], present), look);
const unloop = (rules: Rules, ifindex: number, look: () => void = () => undefined): Change =>
  settle(rules, (present) => changesWithout(loopTable(ifindex), present, () => false), look);

t.test('own addresses answer in every state, looped ones loop after each repair, and nothing is left', (t) => {
  const random = Random.announced(t);
  const names = Object.keys(OTHERS);
  for (let run = 0; run < 300; run++) {
    const rules = new Rules();
    const story: string[] = [];
    const look = (): void =>
      void (
        rules.way(OWN) === 'local' ||
        t.fail(`${story.join(', ')}: own addresses go ${rules.way(OWN)}: ${JSON.stringify(rules.list)}`)
      );
    const interfaces = [2, 3].slice(0, random.between(1, 2));
    for (const ifindex of interfaces) loop(rules, ifindex, look);
    for (let step = 0; step < 8; step++) {
      const name = random.pick(names);
      story.push(name);
      OTHERS[name]?.(rules);
      look();
      const blocked = interfaces
        .map((ifindex) => loop(rules, ifindex, look))
        .some((change) => change.blocked && change.blocked.priority < 3);
      // Rules without a priority, one after the other, may come before every place that there is: the log says so then.
      if (!blocked && (rules.way(SENT) !== 'loop' || rules.way(RECEIVED) !== 'local'))
        t.fail(`${story.join(', ')}: not looped: ${JSON.stringify(rules.list)}`);
    }
    const others = rules.list.filter(
      (rule) => rule.special || rule.table === MAIN.table || rule.table === DEFAULT.table,
    );
    for (const ifindex of interfaces) unloop(rules, ifindex, look);
    const left = JSON.stringify(rules.list);
    if (left !== JSON.stringify([LOCAL, ...others]))
      t.equal(left, JSON.stringify([LOCAL, ...others]), `${story.join(', ')}: nothing is left`);
  }
  t.pass('300 stories');
  t.end();
});

t.test('what others added after a flush is not before the local table at the end', (t) => {
  const rules = new Rules();
  loop(rules, 2);
  OTHERS['ip rule flush']?.(rules);
  rules.addWithoutPriority({ ...MAIN, priority: 0 });
  unloop(rules, 2, () => t.equal(rules.way(OWN), 'local'));
  t.strictSame(rules.list, [LOCAL, { ...MAIN, priority: 0 }]);
  t.end();
});

t.test('where somebody has moved the rule for the local table, his order counts', (t) => {
  const moved: Rule = { priority: 32765, table: LOCAL_TABLE, protocol: BOOT };
  const vrf = greedy(1000, KERNEL);
  const rules = new Rules([vrf, moved, MAIN, DEFAULT]);
  loop(rules, 2);
  t.strictSame(
    rules.list.map(({ priority }) => priority),
    [1000, 32764, 32765, 32766, 32767],
    'ours is right before his',
  );
  unloop(rules, 2);
  t.strictSame(rules.list, [vrf, moved, MAIN, DEFAULT], 'and nothing is left');
  const later = new Rules();
  loop(later, 2);
  later.add(moved);
  later.remove(LOCAL);
  loop(later, 2);
  t.strictSame(
    later.list.map(({ priority }) => priority),
    [32764, 32765, 32766, 32767],
    'also if he does so while an interface is looped',
  );
  t.end();
});

/** As Cilium moves the rule for the local table, for its proxy's rules before it. */
const CILIUM: Rule = { ...LOCAL, priority: 100 };
const PROXY: Rule = { priority: 9, table: 2004, protocol: BOOT, special: true };

t.test('a rule for the local table that somebody has moved as the kernel would make it', (t) => {
  const before = new Rules([PROXY, CILIUM, MAIN, DEFAULT]);
  for (const ifindex of [2, 3, 2]) {
    loop(before, ifindex, () => t.equal(before.list.includes(CILIUM), true, 'it stays'));
    t.equal(before.list[0], PROXY, 'as does what he wants before it');
  }
  t.equal(before.list.filter(({ iif, priority }) => iif === 'lo' && priority === 98).length, 2, 'ours are before it');
  for (const ifindex of [2, 3]) unloop(before, ifindex);
  t.strictSame(before.list, [PROXY, CILIUM, MAIN, DEFAULT], 'and nothing is left');

  const later = new Rules();
  loop(later, 2);
  later.add(CILIUM);
  loop(later, 2);
  t.equal(later.way(SENT), 'loop', 'while both rules are there, ours come first');
  later.remove(LOCAL); // which is our first rule
  later.add(PROXY);
  loop(later, 2, () => t.ok(later.list.includes(CILIUM)));
  t.strictSame(
    later.list.map(({ priority }) => priority),
    [9, 98, 100, 32766, 32767],
  );
  unloop(later, 2);
  t.strictSame(later.list, [PROXY, CILIUM, MAIN, DEFAULT]);

  const near = new Rules([{ ...LOCAL, priority: 1 }, MAIN]);
  t.equal(loop(near, 2).blocked?.priority, 1, 'one with no place before it is named');
  t.end();
});

t.test('our rule for the local table is known without the rule of an interface before it', (t) => {
  const rules = new Rules();
  loop(rules, 2);
  rules.list = rules.list.filter(({ iif }) => iif === undefined);
  loop(rules, 2);
  t.strictSame(
    rules.list.map(({ priority }) => priority),
    [0, 500, 501, 32766, 32767],
  );
  rules.list = rules.list.filter(({ iif }) => iif === undefined);
  unloop(rules, 2);
  t.strictSame(rules.list, [LOCAL, MAIN, DEFAULT]);
  t.end();
});

t.test('a rule for the local table that somebody adds in front does not end the loop', (t) => {
  const rules = new Rules();
  loop(rules, 2);
  rules.add({ ...LOCAL, protocol: BOOT });
  t.equal(rules.way(SENT), 'local');
  loop(rules, 2, () => t.equal(rules.way(OWN), 'local'));
  t.equal(rules.way(SENT), 'loop');
  unloop(rules, 2);
  t.strictSame(rules.list, [LOCAL, MAIN, DEFAULT], 'nothing is left');
  t.end();
});

t.test('interrupted after any step, everything can be taken back', (t) => {
  const { add, remove } = changesFor([loopTable(2)], new Rules().list);
  const steps = add.length + remove.length;
  t.ok(steps >= 4);
  for (let done = 0; done <= steps; done++) {
    const rules = new Rules();
    for (const rule of add.slice(0, done)) rules.add(rule);
    for (const rule of remove.slice(0, Math.max(0, done - add.length))) rules.remove(rule);
    unloop(rules, 2, () => t.equal(rules.way(OWN), 'local'));
    t.strictSame(rules.list, [LOCAL, MAIN, DEFAULT], `after ${done} of ${steps}`);
  }
  t.end();
});

t.test('a rule with no place before it is named, and one behind is none of our business', (t) => {
  const rules = new Rules();
  rules.add(greedy(2));
  t.equal(loop(rules, 2).blocked?.priority, 2);
  t.notOk(rules.list.some(isNet), 'and nothing is changed');
  const far = new Rules();
  far.add(greedy(700));
  loop(far, 2);
  t.strictSame(
    far.list.map(({ priority }) => priority),
    [0, 500, 501, 700, 32766, 32767],
  );
  t.notOk(far.list.some(isFirst), 'the first rule is ours');
  t.same(far.list[0], NET);
  t.end();
});
