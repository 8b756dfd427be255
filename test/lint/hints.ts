// SPDX-License-Identifier: MIT
/**
 * Every error of ours says what to do about it: finds `new VnetError(...)` and `usageError(...)` without a hint. What
 * has none on purpose says so: a comment `no hint: why` in the line before or in the call.
 */
import { readFileSync } from 'node:fs';

import ts from 'typescript';

import { walk } from './tree';

/** The argument in which each has its hint. */
const HINT_AT = { VnetError: 3, usageError: 2 } as const;
const isKnown = (name: string): name is keyof typeof HINT_AT => Object.hasOwn(HINT_AT, name);

/**
 * A command about an interface that is put together by hand: it would lack the namespace, and be about another
 * interface or none. commandFor() of src/errors.ts has it.
 */
const BY_HAND = /vnet-bpf (?:attach|detach|hook|impair|step|stats|log|record|top) \$\{/;
/** Shows commands, and names the namespace itself. */
const SHOWS = /^src\/demo\//;

const commandsByHand = (file: string): string[] =>
  SHOWS.test(file)
    ? []
    : readFileSync(file, 'utf8')
        .split('\n')
        .flatMap((line, i) =>
          BY_HAND.test(line) ? [`${file}:${i + 1}: a command without its namespace: ${line.trim()}`] : [],
        );

/** `{ hint: ... }`, or anything that is computed; `{ cause }` alone is no hint. */
function hints(name: keyof typeof HINT_AT, argument: ts.Expression | undefined): boolean {
  if (!argument) return false;
  if (name === 'usageError' || !ts.isObjectLiteralExpression(argument)) return true;
  return argument.properties.some((property) => property.name?.getText() === 'hint' || ts.isSpreadAssignment(property));
}

function withoutHint(file: string): string[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
      const name = node.expression.getText();
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      if (isKnown(name) && !hints(name, node.arguments?.[HINT_AT[name]])) {
        const around =
          source.text
            .split('\n')
            .slice(Math.max(0, line - 1), line + 1)
            .join('\n') + node.getText();
        if (!around.includes('no hint: ')) found.push(`${file}:${line + 1}: ${node.getText().replace(/\s+/g, ' ')}`);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const files = walk('src').filter((file) => file.endsWith('.ts') && !file.startsWith('src/libbpf-ts/'));
const problems = files.flatMap((file) => [...withoutHint(file), ...commandsByHand(file)]);
for (const problem of problems) console.error(problem);
if (files.length < 50 || problems.length > 0) {
  console.error(
    `lint: ${problems.length} errors in ${files.length} files do not say what to do about them, or not where`,
  );
  process.exit(1);
}
