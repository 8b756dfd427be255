// SPDX-License-Identifier: MIT
/**
 * Types and eslint's rules, over one program: tsc and eslint apart would both work out all types, which takes most of
 * the time of each.
 */
import * as path from 'node:path';

import { ESLint } from 'eslint';
import * as ts from 'typescript';

const ROOT = path.resolve(__dirname, '..', '..');
/** All that Node runs, and what runs in a browser. */
const PROJECTS = ['test/lint/tsconfig.json', 'src/web/page/tsconfig.json'];

function programOf(project: string): ts.Program {
  const host: ts.ParseConfigFileHost = {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (diagnostic) => {
      throw new Error(ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n'));
    },
  };
  const parsed = ts.getParsedCommandLineOfConfigFile(path.join(ROOT, project), {}, host);
  if (!parsed) throw new Error(`${project}: cannot be read`);
  return ts.createProgram({ rootNames: parsed.fileNames, options: parsed.options });
}

async function main(): Promise<boolean> {
  const programs = PROJECTS.map(programOf);
  const wrong = programs.flatMap((program) => ts.getPreEmitDiagnostics(program));
  if (wrong.length > 0)
    console.error(
      ts.formatDiagnostics(ts.sortAndDeduplicateDiagnostics(wrong), {
        getCurrentDirectory: () => ROOT,
        getCanonicalFileName: (file) => file,
        getNewLine: () => '\n',
      }),
    );
  const eslint = new ESLint({
    cwd: ROOT,
    overrideConfigFile: path.join(__dirname, 'eslint.config.mjs'),
    overrideConfig: { languageOptions: { parserOptions: { project: null, programs } } },
  });
  const results = await eslint.lintFiles(['src', 'test']);
  const text = await (await eslint.loadFormatter('stylish')).format(results);
  if (text !== '') console.error(text);
  return wrong.length === 0 && results.every(({ errorCount, warningCount }) => errorCount + warningCount === 0);
}

main().then(
  (isClean) => (process.exitCode = isClean ? 0 : 1),
  (error: Error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
