// SPDX-License-Identifier: MIT
/** The systems that take part: the product, with those of its options that matter and that it has, and its rivals. */
import type { Options } from '../options';
import { product as productAt, type Product } from '../product';
import { ours } from './ours';
import { redirect } from './redirect';
import type { System } from './system';
import { tap } from './tap';
import { twin } from './twin';

export interface Field {
  /** The product that is measured, and it with further checkouts. */
  product: Product;
  products: readonly Product[];
  /** The products with their default options. */
  defaults: readonly System[];
  throughput: readonly System[];
  latency: readonly System[];
  /** The product without GRO and its twin, as far as they take part. */
  duelists: readonly System[];
  /** Those whose highest rate without loss is looked for. */
  lossy: readonly System[];
  /** Other processes whose idling is looked at. */
  resting: readonly System[];
}

/** The name in tables of the product without GRO, which is what its C twin is compared with. */
export const PLAIN = 'ours, gro off';

/** The product that always busy-polls for 100 us before it sleeps, and the one that sleeps at once. */
export const BUSY = 'ours, busy poll';
export const SLEEPY = 'ours, busy poll 0';

/** Variants of the product that exist only where it has the option. */
function variantsOf({ main, has }: Product, all: readonly [option: string, name: string, value: string][]): System[] {
  return all.filter(([option]) => has(option)).map(([option, name, value]) => ours(name, main, [`--${option}`, value]));
}

export function field({ product: where, others, variants, systems }: Options): Field {
  const product = productAt('ours', where);
  const products = [product, ...others.map(([name, path]) => productAt(name, path))];
  const defaults = products.map(({ name, main }) => ours(name, main, []));
  const asked = variants.map(([name, args]) => ours(name, product.main, args));
  const twins = [twin(product.main, product.has('gro') ? ['--gro', 'off'] : [])];
  const wanted = (all: System[]): System[] =>
    systems === null ? all : all.filter(({ name }) => systems.includes(name));
  const plain = variantsOf(product, [['gro', PLAIN, 'off']]);
  return {
    product,
    products,
    defaults: wanted(defaults),
    duelists: wanted([...(plain.length > 0 ? plain : defaults.slice(0, 1)), ...twins]),
    throughput: wanted([
      ...defaults,
      ...plain,
      ...variantsOf(product, [['queues', 'ours, 2 queues', '2']]),
      ...asked,
      ...twins,
      tap,
      redirect,
    ]),
    latency: wanted([
      ...defaults,
      ...variantsOf(product, [
        ['busy-poll', SLEEPY, '0'],
        ['busy-poll', BUSY, '100'],
      ]),
      ...asked,
      ...twins,
      tap,
      redirect,
    ]),
    lossy: wanted([...defaults, tap]),
    resting: wanted([...twins, tap]),
  };
}
