// SPDX-License-Identifier: MIT
/** docs/faults-tutorial.md: its files and commands, as written, on a machine of its own. */
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, MAIN, ROOT, SLOW } from '../../helpers/cli';
import { blocksOf, READERS_HOME, scriptOf } from '../../helpers/document';
import { PrivateMachine } from '../../helpers/private-machine';

t.setTimeout(280_000 * SLOW);

const BLOCKS = blocksOf(path.join(ROOT, 'docs', 'faults-tutorial.md'));

/** The package installed in the reader's directory; a sudo that is root already; no output where there is no tshark. */
const PREPARE = `${READERS_HOME}
mkdir node_modules && ln -s "$ROOT" node_modules/vnet-bpf && ln -s "$NODE" bin/node
printf '#!/bin/sh\\nexec "$@"\\n' >bin/sudo && chmod +x bin/sudo
command -v tshark >/dev/null || tshark() { echo "no tshark"; }
`;

/** The step of CI, as a shell runs it. */
const step = (yaml: string): string => /run: ([^]*)/.exec(yaml)?.[1] ?? 'false\n';

/** How many runs were enough to be certain depends on the machine. */
const withoutTimes = (text: string): string =>
  text.replace(/in (\d+) of \1 runs (.*) 0 of \d+ runs/, 'in all runs $2 no run');

t.test('a reader finds the bug, fixes it, and keeps it fixed', { skip: cannotRun }, async (t) => {
  const machine = await PrivateMachine.start(t);
  const blocks = BLOCKS.filter(({ language }) => ['sh', 'js', 'yaml'].includes(language)).map((block) =>
    block.language === 'yaml' ? { ...block, language: 'sh', text: step(block.text) } : block,
  );
  const env = { NODE: process.execPath, MAIN, ROOT };
  const { status, stdout, stderr } = machine.run('bash', ['-c', PREPARE + scriptOf(blocks)], env);
  t.equal(status, 0, status === 0 ? 'each command ends as the page says' : `${stderr}\n${stdout}`);

  /** What a command has printed: the one whose block has this text. */
  const outputOf = (text: string): string => {
    const line = blocks.find((block) => block.language === 'sh' && block.text.includes(text))?.line ?? 0;
    return new RegExp(`^@@ line ${line}\\n([^]*?)(?:^@@|(?![^]))`, 'm').exec(stdout)?.[1] ?? '';
  };
  const passes = /^(?:#|ℹ) pass 1$/m;
  t.match(outputOf('package.json'), passes, 'it passes on 127.0.0.1');
  t.match(outputOf('run -- npm test'), passes, 'and without faults');
  const seeds = outputOf('--seed 2');
  t.equal([...seeds.matchAll(new RegExp(passes, 'gm'))].length, 1, 'seed 2 is harmless');
  t.match(seeds, /exit code 124\n$/, 'with seed 3 it hangs');
  const [report = '', found = '', frames = ''] = BLOCKS.filter(({ language }) => language === '').map(
    ({ text }) => text,
  );
  t.match(stderr, report, 'the report is as shown');
  const without = outputOf('explore').replace(/^the command has printed[^]*/m, '');
  t.equal(withoutTimes(without), withoutTimes(found), 'explore finds it');
  const read = outputOf('cat repro.faults.json');
  t.match(read, /"nth": \[\s*2\s*\]/);
  if (!read.includes('no tshark')) {
    const dropped = (text: string): string | undefined => /dropped by faults.*(rule 1: [^;\n]*)/.exec(text)?.[1];
    t.equal(read.match(/captured, /g)?.length, 4, 'four frames, as shown');
    t.equal(dropped(read), dropped(frames));
  }
  t.match(outputOf('--faults repro.faults.json -- npm test'), passes, 'the fix survives it');
  t.match(outputOf('--runs 5'), /\b5 runs\b/, 'and five other runs');
  t.match(outputOf('--faults lost-answer.faults.json -- npm test'), passes, 'in CI, too');
  t.match(outputOf('from server nth 2: drop'), passes, 'and with rules in words');
  t.match(outputOf('node --test lost-question.mjs'), passes, 'and with Lab');
  t.same(
    machine.residue().filter((line) => !['/run/netns', '/run/home'].includes(line)),
    [],
    'nothing is left',
  );
});
