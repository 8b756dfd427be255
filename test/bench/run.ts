// SPDX-License-Identifier: MIT
/** `make bench`, `make bench-quick`: see --help. */
import { removeAll } from './open-things';
import { tcp } from './measures/tcp';
import { udp } from './measures/udp';
import { interleave } from './rounds';
import { MAIN } from '../helpers/cli';
import { ours } from './systems/ours';
import { redirect } from './systems/redirect';
import { tap } from './systems/tap';
import { twin } from './systems/twin';
import { summary } from './report/statistics';

async function main(): Promise<void> {
  const rounds = Number(process.argv[2] ?? 3);
  const systems = [ours('ours', '', MAIN, []), twin('twin', '', MAIN, []), tap, redirect];
  const measures = [udp({ bytes: 64, flows: 1, seconds: 1 }), udp({ bytes: 1400, flows: 1, seconds: 1 }), tcp(1, 2)];
  const samples = await interleave(systems, measures, rounds, (line) => console.error(line));
  for (const measure of measures) {
    console.log(measure.title);
    for (const system of systems) {
      const values = samples.filter((s) => s.measure === measure.id && s.system === system.name);
      const of = (key: string): string => {
        const s = summary(values.map((v) => v.values[key] as number));
        return `${key} ${s.median.toPrecision(5)} (${s.min.toPrecision(4)}..${s.max.toPrecision(4)})`;
      };
      console.log(`  ${system.name.padEnd(10)} ${Object.keys(values[0]?.values ?? {}).map(of).join('  ')}`);
    }
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    removeAll();
    process.exit(130);
  });
}

main().then(
  () => removeAll(),
  (error: Error) => {
    console.error(`bench: ${error.message}`);
    removeAll();
    process.exitCode = 1;
  },
);
