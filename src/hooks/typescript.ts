// SPDX-License-Identifier: MIT
/** Compiles hooks in TypeScript by removing the types. No tsconfig.json is read, and types are not checked. */
import type TypeScript from 'typescript';

import { VnetError } from '../errors';
import { loadWithBytecode } from '../native/node';
import { placed } from './error-text';
import { compilerBytecode, compilerFile } from './lookup';

/** What a TypeScript file is compiled to. */
export type ModuleFormat = 'commonjs' | 'module';

/** A syntax error in a TypeScript file; the message has file, line, column and the source line. */
export class CompileError extends SyntaxError {
  constructor(message: string) {
    super(message);
    this.name = 'CompileError';
  }
}

/** Says that a file is an ES module, which require() cannot load. */
export class NeedsImport extends Error {
  constructor(readonly file: string) {
    super(`${file} is an ES module`);
    this.name = 'NeedsImport';
  }
}

let compiler: typeof TypeScript | undefined;

/** The compiler. Throws a HOOK error if it is not installed. */
export function typescript(): typeof TypeScript {
  if (compiler) return compiler;
  const file = compilerFile();
  if (file === null) {
    throw new VnetError('HOOK', 'hooks in TypeScript', 'the compiler is not installed', {
      hint: 'install the package typescript with vnet-bpf, or write the hook in JavaScript',
    });
  }
  return (compiler = loadWithBytecode(file, compilerBytecode(file)) as typeof TypeScript);
}

/** Whether a text imports or exports as ES modules do. */
export function isModuleText(source: string, file: string): boolean {
  if (!/\b(?:import|export)\b/.test(source)) return false;
  const ts = typescript();
  return ts.isExternalModule(ts.createSourceFile(file, source, ts.ScriptTarget.ES2022));
}

/** Whether a text has what CommonJS lacks: an `await` outside functions, or `import.meta`. */
export function needsImport(source: string, file: string): boolean {
  if (!/\bawait\b|\bimport\s*\.\s*meta\b/.test(source)) return false;
  const ts = typescript();
  const AWAIT_USING = Number(ts.NodeFlags.AwaitUsing);
  const has = (node: TypeScript.Node, inFunction: boolean): boolean => {
    if (ts.isMetaProperty(node) && node.keywordToken === ts.SyntaxKind.ImportKeyword) return true;
    const awaits =
      ts.isAwaitExpression(node) ||
      (ts.isForOfStatement(node) && node.awaitModifier !== undefined) ||
      (ts.isVariableDeclarationList(node) && Number(node.flags & AWAIT_USING) === AWAIT_USING);
    if (awaits && !inFunction) return true;
    return ts.forEachChild(node, (child) => has(child, inFunction || ts.isFunctionLike(node))) ?? false;
  };
  return has(ts.createSourceFile(file, source, ts.ScriptTarget.ES2022), false);
}

/** What a compiler makes of a file, in that format; the build has it run for the compiler's bytecode, too. */
export const transpiled = (
  ts: typeof TypeScript,
  source: string,
  fileName: string,
  format: ModuleFormat,
): TypeScript.TranspileOutput =>
  ts.transpileModule(source, {
    fileName,
    reportDiagnostics: true,
    compilerOptions: {
      module: format === 'module' ? ts.ModuleKind.ES2022 : ts.ModuleKind.CommonJS,
      moduleResolution: format === 'module' ? ts.ModuleResolutionKind.Bundler : ts.ModuleResolutionKind.Node10,
      target: ts.ScriptTarget.ES2022,
      esModuleInterop: true,
      inlineSourceMap: true,
      inlineSources: true,
    },
  });

/** Compiles to JavaScript of that format, whatever package.json is near. Throws a CompileError. */
export function withoutTypes(source: string, fileName: string, format: ModuleFormat): string {
  const ts = typescript();
  const { outputText, diagnostics = [] } = transpiled(ts, source, fileName, format);
  const [wrong] = diagnostics;
  if (!wrong) return outputText;
  const { line, character } = wrong.file?.getLineAndCharacterOfPosition(wrong.start ?? 0) ?? { line: 0, character: 0 };
  const what = `SyntaxError: ${ts.flattenDiagnosticMessageText(wrong.messageText, ' ').replace(/\.$/, '')}`;
  throw new CompileError(
    placed({ file: fileName, line: line + 1, column: character + 1 }, what, source.split('\n')[line]),
  );
}
