// SPDX-License-Identifier: MIT
/** Code that `libbpf-ts generate` has written, run and checked in a test. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import ts from 'typescript';

import * as sources from '../../src/index';

/**
 * The exports of a module in TypeScript, which imports the sources in the place of the package. Throws what is wrong
 * with its text.
 */
export function run(text: string): Record<string, unknown> {
  const { outputText, diagnostics: [wrong] = [] } = ts.transpileModule(text, {
    reportDiagnostics: true,
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  });
  if (wrong) throw new Error(ts.flattenDiagnosticMessageText(wrong.messageText, '\n'));
  const exports = {};
  const load = (name: string): unknown => {
    if (name !== 'libbpf-ts') throw new Error(`generated code imports ${name}`);
    return sources;
  };
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the code under test
  new Function('exports', 'require', outputText)(exports, load);
  return exports;
}

/** The root of the package, for tests that are not compiled by make. */
const PACKAGE = resolve(__dirname, '..', '..');

const STRICT = {
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noImplicitOverride: true,
  noPropertyAccessFromIndexSignature: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  noImplicitReturns: true,
  isolatedModules: true,
  erasableSyntaxOnly: true,
  target: 'es2022',
  lib: ['es2022', 'esnext.disposable'],
  module: 'nodenext',
  moduleResolution: 'nodenext',
  declaration: true,
  skipLibCheck: true,
  types: [],
  noEmit: true,
};

/** What tsc says about modules as a strict project compiles them, against the built package; empty if it accepts them. */
export function compileStrictly(modules: ReadonlyMap<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), 'libbpf-ts-strict-'));
  try {
    mkdirSync(join(directory, 'node_modules'));
    symlinkSync(PACKAGE, join(directory, 'node_modules', 'libbpf-ts'));
    for (const [name, text] of modules) writeFileSync(join(directory, `${name}.ts`), text);
    writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions: STRICT, include: ['*.ts'] }));
    const { stdout, stderr } = spawnSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', directory], {
      cwd: directory,
      encoding: 'utf8',
    });
    return stdout + stderr;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
