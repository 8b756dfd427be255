// SPDX-License-Identifier: MIT
/** The session in docs/demo.svg is what one sees who types its commands. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, MAIN, ROOT, SLOW } from '../../helpers/cli';
import { okIn, quietNetns } from '../../helpers/netns';
import { withoutTools } from '../../helpers/traffic';
import { DEMO } from '../../pictures/scripts';
import { PROMPT } from '../../pictures/session';
import { textIn } from '../../pictures/terminal';

t.setTimeout(60_000 * SLOW);

/** What stays the same from one run to the next. */
const shapeOf = (lines: readonly string[]): string[] =>
  lines
    .map((line) =>
      line
        .replace(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, 'MAC')
        .replace(/\d+(\.\d+)?/g, 'N')
        .replace(/\s+/g, ' ')
        .trim(),
    )
    .filter((line) => line !== '');

t.test('docs/demo.svg', { skip: cannotRun || withoutTools('bash', 'ping') }, async (t) => {
  const netns = quietNetns(t);
  const script = DEMO.flatMap((line) => [`echo ${JSON.stringify(PROMPT + line)}`, `${line} 2>&1 || true`]).join('\n');
  const output = okIn(netns, 'bash', [
    '-c',
    `vnet-bpf() { env -u NODE_OPTIONS '${process.execPath}' '${MAIN}' "$@"; }\n${script}`,
  ]);
  const picture = textIn(fs.readFileSync(path.join(ROOT, 'docs', 'demo.svg'), 'utf8'));
  t.same(shapeOf(picture), shapeOf(output.replaceAll(netns, 'lab').split('\n')), 'make pictures takes it anew');
});
