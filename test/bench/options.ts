// SPDX-License-Identifier: MIT
/** The command line of run.ts. */
import { parseArgs } from 'node:util';

export const usage = `usage: run.ts [options]

  --quick                  about a minute: fewer loads, shorter, fewer rounds; writes to dist-test/bench-quick
  --rounds N               rounds of each comparison (5); of sweeps a third
  --only ID,ID             only these sections
  --systems NAME,NAME      only these systems in comparisons
  --ours [NAME=]PATH       measure the product of another checkout, too (repeatable)
  --product PATH           measure that checkout instead of this one; VNET_BPF_MAIN does the same
  --variant 'NAME=OPTIONS' the product with these options of attach too (repeatable)
  --out DIR                where benchmarks.md, .json and .svg go (docs; with --only: nowhere)
`;

export interface Options {
  quick: boolean;
  rounds: number;
  only: string[] | null;
  systems: string[] | null;
  /** Further checkouts, by name. */
  others: [name: string, where: string][];
  product: string;
  /** Options of attach, by name. */
  variants: [name: string, args: string[]][];
  out: string | null;
}

/** Splits `name=value`; what has no name is its own. */
function named(text: string): [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, text] : [text.slice(0, at), text.slice(at + 1)];
}

const list = (text: string | undefined): string[] | null => text?.split(',') ?? null;

/** Throws an Error whose message says what is wrong. */
export function parseOptions(args: readonly string[], root: string): Options | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: 'boolean', short: 'h' },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      only: { type: 'string' },
      systems: { type: 'string' },
      ours: { type: 'string', multiple: true, default: [] },
      product: { type: 'string' },
      variant: { type: 'string', multiple: true, default: [] },
      out: { type: 'string' },
    },
  });
  if (values.help) return 'help';
  const quick = values.quick ?? false;
  const rounds = Number(values.rounds ?? (quick ? 2 : 5));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${values.rounds}: not a whole number above 0`);
  const whole = values.only === undefined && values.systems === undefined;
  return {
    quick,
    rounds,
    only: list(values.only),
    systems: list(values.systems),
    others: (values.ours ?? []).map(named),
    product: values.product ?? process.env['VNET_BPF_MAIN'] ?? root,
    variants: (values.variant ?? []).map((text) => {
      const [name, words] = named(text);
      return [name, words.split(/\s+/).filter((word) => word !== '')];
    }),
    out: values.out ?? (whole ? (quick ? 'dist-test/bench-quick' : 'docs') : null),
  };
}
