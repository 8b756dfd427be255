// SPDX-License-Identifier: MIT
/**
 * Visits every state that a model can reach, breadth first, so that the trace to a fault is a shortest one, and checks
 *
 *   - in each state, the model's own properties;
 *   - that a state without a next step is one at rest;
 *   - that from each state one at rest can be reached;
 *   - that each fair run comes to rest. Fair: a process that can always take a step takes one in the end.
 *
 * No reduction: every interleaving of the models' steps is looked at.
 */
import { Ints, StateSet } from './states';

/**
 * The state after a step, to be changed by the model: a copy of the one before. In `label`, % stands for what the model
 * calls `about`. (No text is put together unless a trace needs it.)
 */
export type Step = (process: number, label: string, about?: number) => Uint8Array;

export interface Model {
  /** Bytes of a state; the initial one has zeros where start() writes nothing. */
  readonly bytes: number;
  /** Names of the processes, at most 31. */
  readonly processes: readonly string[];
  start(state: Uint8Array): void;
  /** Calls `step` for each step that is possible in `state`, and changes what it returns. */
  next(state: Uint8Array, step: Step): void;
  /** The property that does not hold in `state`, or null. */
  broken(state: Uint8Array): string | null;
  /** Whether all work is done: the run may end here. */
  atRest(state: Uint8Array): boolean;
  /** Processes that need not go on: a crash, a nuisance that may never happen. */
  readonly idle?: readonly number[];
  /** Writes states that differ in nothing that matters in one way, such as counters whose differences alone count. */
  normalize?(state: Uint8Array): void;
  /** What % in a label stands for. */
  name?(about: number): string;
  /** A state in short, for the end of a trace. */
  show?(state: Uint8Array): string;
}

export interface Failure {
  property: string;
  /** Steps from the start, a line each: process and step. */
  trace: string[];
}

export interface Result {
  states: number;
  steps: number;
  failure: Failure | null;
}

export const DEADLOCK = 'nobody can go on though not all is done';
export const NO_WAY = 'no way leads from here to rest';
export const ENDLESS = 'a fair run never comes to rest';

/** A model that has more states is not small; it is said to be one that failed. */
const STATES_MAX = 20_000_000;

const CIRCLE_MAX = 12;

export function explore(model: Model): Result {
  return new Explorer(model).run();
}

class Explorer {
  private readonly states: StateSet;
  private readonly words: number;
  /** Of each state: the one it was found from. */
  private readonly parents = new Ints();
  /** Steps out of each state: to where, by which process; those of state i from firsts[i] on. */
  private readonly firsts = new Ints();
  private readonly targets = new Ints();
  private readonly movers = new Ints();
  private readonly resting = new Ints();

  constructor(private readonly model: Model) {
    this.words = Math.ceil(model.bytes / 4);
    this.states = new StateSet(this.words);
  }

  run(): Result {
    const found = this.visit();
    const failure = found ?? this.leadsToRest() ?? this.endlessRun();
    return { states: this.states.size, steps: this.targets.length, failure };
  }

  private visit(): Failure | null {
    const { model, states } = this;
    const from = new Uint32Array(this.words);
    const to = new Uint32Array(this.words);
    const fromBytes = new Uint8Array(from.buffer);
    const toBytes = new Uint8Array(to.buffer);
    let current = 0;
    let process = -1;
    const flush = (): void => {
      if (process < 0) return;
      model.normalize?.(toBytes);
      const index = states.add(to);
      if (index === this.parents.length) this.parents.push(current);
      this.targets.push(index);
      this.movers.push(process);
      process = -1;
    };
    const step: Step = (by) => {
      flush();
      to.set(from);
      process = by;
      return toBytes;
    };
    model.start(toBytes);
    states.add(to);
    this.parents.push(-1);
    for (; current < states.size; current++) {
      if (states.size > STATES_MAX) return { property: `more than ${STATES_MAX} states`, trace: [] };
      states.get(current, from);
      const broken = model.broken(fromBytes);
      if (broken !== null) return { property: broken, trace: this.traceTo(current) };
      this.firsts.push(this.targets.length);
      model.next(fromBytes, step);
      flush();
      const rest = model.atRest(fromBytes);
      this.resting.push(rest ? 1 : 0);
      if (!rest && this.targets.length === this.firsts.at(current))
        return { property: DEADLOCK, trace: this.traceTo(current) };
    }
    this.firsts.push(this.targets.length);
    return null;
  }

  /** Backwards from the states at rest: those that are never met cannot reach one. */
  private leadsToRest(): Failure | null {
    const count = this.states.size;
    const { heads, sources } = this.reversed();
    const met = new Uint8Array(count);
    const queue = new Int32Array(count);
    let end = 0;
    const meet = (state: number): void => {
      if (met[state] !== 0) return;
      met[state] = 1;
      queue[end++] = state;
    };
    for (let i = 0; i < count; i++) if (this.resting.at(i) === 1) meet(i);
    for (let at = 0; at < end; at++) {
      const state = queue[at] as number;
      for (let edge = heads[state] as number; edge < (heads[state + 1] as number); edge++) {
        meet(sources[edge] as number);
      }
    }
    const lost = met.indexOf(0);
    return lost < 0 ? null : { property: NO_WAY, trace: this.traceTo(lost) };
  }

  private reversed(): { heads: Int32Array; sources: Int32Array } {
    const count = this.states.size;
    const heads = new Int32Array(count + 2);
    for (let edge = 0; edge < this.targets.length; edge++) heads[this.targets.at(edge) + 2]!++;
    for (let i = 2; i < count + 2; i++) heads[i]! += heads[i - 1] as number;
    const sources = new Int32Array(this.targets.length);
    for (let state = 0; state < count; state++) {
      for (let edge = this.firsts.at(state); edge < this.firsts.at(state + 1); edge++) {
        sources[heads[this.targets.at(edge) + 1]!++] = state;
      }
    }
    return { heads, sources };
  }

  /**
   * A fair run that never rests stays, in the end, in one strongly connected component without a state at rest, in
   * which each process moves or is somewhere unable to.
   */
  private endlessRun(): Failure | null {
    const component = this.components();
    const count = this.states.size;
    let components = 0;
    for (let i = 0; i < count; i++) components = Math.max(components, (component[i] as number) + 1);
    /** Processes that move inside a component, or cannot move in one of its states. */
    const satisfied = new Int32Array(components);
    const cyclic = new Uint8Array(components);
    for (let state = 0; state < count; state++) {
      const own = component[state] as number;
      if (own < 0) continue;
      let able = 0;
      for (let edge = this.firsts.at(state); edge < this.firsts.at(state + 1); edge++) {
        const process = 1 << this.movers.at(edge);
        able |= process;
        if (component[this.targets.at(edge)] !== own) continue;
        satisfied[own]! |= process;
        cyclic[own] = 1;
      }
      satisfied[own]! |= ~able;
    }
    let all = (1 << this.model.processes.length) - 1;
    for (const process of this.model.idle ?? []) all &= ~(1 << process);
    for (let state = 0; state < count; state++) {
      const own = component[state] as number;
      if (own >= 0 && cyclic[own] === 1 && ((satisfied[own] as number) & all) === all) {
        return { property: ENDLESS, trace: [...this.traceTo(state), ...this.circle(state, component)] };
      }
    }
    return null;
  }

  /** Tarjan's algorithm without recursion; -1 for states at rest. */
  private components(): Int32Array {
    const count = this.states.size;
    const component = new Int32Array(count).fill(-1);
    const order = new Int32Array(count).fill(-1);
    const low = new Int32Array(count);
    const edges = new Int32Array(count);
    const open: number[] = [];
    const path: number[] = [];
    let time = 0;
    let components = 0;
    for (let root = 0; root < count; root++) {
      if (order[root] !== -1 || this.resting.at(root) === 1) continue;
      path.push(root);
      while (path.length > 0) {
        const state = path[path.length - 1] as number;
        if (order[state] === -1) {
          order[state] = low[state] = time++;
          edges[state] = this.firsts.at(state);
          open.push(state);
        }
        let deeper = false;
        while ((edges[state] as number) < this.firsts.at(state + 1)) {
          const target = this.targets.at(edges[state]!++);
          if (this.resting.at(target) === 1) continue;
          if (order[target] === -1) {
            edges[state]!--;
            path.push(target);
            deeper = true;
            break;
          }
          if (component[target] === -1) low[state] = Math.min(low[state] as number, low[target] as number);
        }
        if (deeper) continue;
        path.pop();
        if (low[state] !== order[state]) continue;
        for (let member = -1; member !== state;) component[(member = open.pop() as number)] = components;
        components++;
      }
    }
    return component;
  }

  /** Steps of a circle through a component, as an example of what goes on forever. */
  private circle(start: number, component: Int32Array): string[] {
    const steps: string[] = [];
    const seen = new Set<number>();
    let state = start;
    while (!seen.has(state) && steps.length < CIRCLE_MAX) {
      seen.add(state);
      let next = -1;
      for (let edge = this.firsts.at(state); edge < this.firsts.at(state + 1); edge++) {
        const target = this.targets.at(edge);
        if (component[target] === component[start] && (next < 0 || seen.has(next))) next = target;
      }
      steps.push(`for ever: ${this.stepBetween(state, next)}`);
      state = next;
    }
    return steps;
  }

  private traceTo(state: number): string[] {
    const lines: string[] = [];
    for (let at = state; this.parents.at(at) >= 0; at = this.parents.at(at))
      lines.push(this.stepBetween(this.parents.at(at), at));
    lines.reverse();
    if (this.model.show) lines.push(`= ${this.model.show(this.state(state))}`);
    return lines;
  }

  private state(index: number): Uint8Array {
    const words = new Uint32Array(this.words);
    this.states.get(index, words);
    return new Uint8Array(words.buffer);
  }

  /** Takes the steps out of a state once more, for their text. */
  private stepBetween(from: number, to: number): string {
    const { model } = this;
    const wanted = this.state(to);
    let found = '?';
    let text = '';
    let pending: Uint8Array | null = null;
    const flush = (): void => {
      if (pending === null) return;
      model.normalize?.(pending);
      if (pending.every((byte, i) => byte === wanted[i])) found = text;
    };
    const before = this.state(from);
    model.next(before, (process, label, about = 0) => {
      flush();
      text = `${model.processes[process] as string}: ${label.replace('%', model.name?.(about) ?? String(about))}`;
      return (pending = before.slice());
    });
    flush();
    return found;
  }
}
