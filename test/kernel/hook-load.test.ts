// SPDX-License-Identifier: MIT
/** Loading of hook files: which are accepted, and the errors of those that are not. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';

import t from 'tap';

import { cannotRun, ROOT } from '../helpers/cli';
import { hookDirectory, hookFile } from '../helpers/hook-file';
import { okIn, testNetns } from '../helpers/netns';
import { refused } from '../helpers/refusal';

/** Loads the given files one after the other, and prints the result of each as JSON. */
const LOADER = `
const { loadHook } = require(process.argv[1]);
(async () => {
  const results = [];
  for (const file of process.argv.slice(2)) {
    try {
      const { name, place } = await loadHook(file);
      results.push({ name, place });
    } catch ({ code, message, hint }) {
      results.push({ code, message, hint });
    }
  }
  console.log(JSON.stringify(results));
  process.exit();
})();`;

/** Files of a hook's directory. */
const FILES: Readonly<Record<string, string>> = {
  'pass.mjs':
    "import { FRAME_BYTES } from 'vnet-bpf/hooks';\nexport default { name: typeof FRAME_BYTES, frame: () => 'pass' };\n",
  'helper.ts': "import { two } from './two';\nexport const helper = async (): Promise<string> => `waited ${two}`;\n",
  'two.ts': 'export const two: number = 2;\n',
  'deep.ts': "export const deep: string = await Promise.resolve('deep');\n",
  'module.mjs': "export const m = 'module';\n",
  'common.cjs': "exports.c = 'common';\n",
  'esm/package.json': '{ "type": "module" }\n',
  'esm/plain.js': "export const p = 'plain';\n",
};

/** Hooks that are loaded, with the name and the place that they have then. */
const GOOD: Readonly<Record<string, { text: string; name: string; line: number }>> = {
  'await.ts': {
    text: "import { helper } from './helper.js';\nimport type { Hook } from 'vnet-bpf/hooks';\nconst name = await helper();\nconst hook: Hook = {\n  name,\n  frame: () => 'pass',\n};\nexport default hook;\n",
    name: 'waited 2',
    line: 6,
  },
  'meta.ts': {
    text: "export default { name: import.meta.url.split('/').at(-1)!.split('?')[0]!, frame: (_: unknown) => 'pass' };\n",
    name: 'meta.ts',
    line: 1,
  },
  'nodenext.ts': {
    text: "import { two } from './two.js';\nexport default { name: `two ${two}`, frame: () => 'pass' };\n",
    name: 'two 2',
    line: 2,
  },
  'indirect.ts': {
    text: "import { deep } from './deep.js';\nexport default { name: deep, frame: () => 'pass' };\n",
    name: 'deep',
    line: 2,
  },
  'of-module.ts': {
    text: "import { m } from './module.mjs';\nexport default { name: m, frame: () => 'pass' };\n",
    name: 'module',
    line: 2,
  },
  'of-common.ts': {
    text: "import { c } from './common.cjs';\nawait null;\nexport default { name: c, frame: () => 'pass' };\n",
    name: 'common',
    line: 3,
  },
  'of-scope.ts': {
    text: "import { p } from './esm/plain.js';\nexport default { name: p, frame: () => 'pass' };\n",
    name: 'plain',
    line: 2,
  },
  'required.ts': {
    text: "interface A { b: number }\nconst os = require('node:os');\nmodule.exports = { name: typeof os.EOL, frame: () => 'pass' };\n",
    name: 'string',
    line: 3,
  },
  'waits.mts': { text: "await null;\nexport default { name: 'mts', frame: () => 'pass' };\n", name: 'mts', line: 2 },
};

/** Hooks that are not loaded, and their errors: the place, and the source line. */
const BAD: Readonly<Record<string, { text: string; says: string; in?: string }>> = {
  'syntax.ts': {
    text: "import type { Hook } from 'vnet-bpf/hooks';\nexport default ((frame) => {\n  const x = (1 2);\n}) satisfies Hook['frame'];\n",
    says: "3:16: SyntaxError: ')' expected: const x = (1 2);",
  },
  'syntax.mts': {
    text: 'await null;\nconst x: number = ;\n',
    says: '2:19: SyntaxError: Expression expected: const x: number = ;',
  },
  'syntax.mjs': {
    text: 'export default (frame) => {\n  const x = ;\n};\n',
    says: "2:13: SyntaxError: Unexpected token ';': const x = ;",
  },
  'syntax.cjs': {
    text: 'module.exports = (frame) => {\n  const x = ;\n};\n',
    says: "2:13: SyntaxError: Unexpected token ';': const x = ;",
  },
  'early.js': {
    text: 'export default () => {\n  let a; let a;\n};\n',
    says: "2:14: SyntaxError: Identifier 'a' has already been declared: let a; let a;",
  },
  'imports-syntax.mjs': {
    text: "import './syntax.mjs';\nexport default () => {};\n",
    says: "2:13: SyntaxError: Unexpected token ';': const x = ;",
    in: 'syntax.mjs',
  },
  'throws.ts': {
    text: "\nconst y: number = nothing.there;\nexport default (_: unknown) => 'pass';\n",
    says: '2:19: ReferenceError: nothing is not defined: const y: number = nothing.there;',
  },
  'throws.mjs': {
    text: '\nconst y = nothing.there;\nexport default () => {};\n',
    says: '2:11: ReferenceError: nothing is not defined: const y = nothing.there;',
  },
  'throws.js': {
    text: '\nmodule.exports = nothing.there;\n',
    says: '2:18: ReferenceError: nothing is not defined: module.exports = nothing.there;',
  },
  'rejects.ts': {
    text: "const y: number = 2;\nawait Promise.reject(new Error('no ' + y));\n",
    says: "2:22: Error: no 2: await Promise.reject(new Error('no ' + y));",
  },
  'no-export.mjs': {
    text: "import { nosuch } from 'vnet-bpf/hooks';\nexport default () => nosuch;\n",
    says: "1:10: SyntaxError: The requested module 'vnet-bpf/hooks' does not provide an export named 'nosuch': import { nosuch } from 'vnet-bpf/hooks';",
  },
  'no-file.ts': {
    text: "import './nosuch';\nexport default () => {};\n",
    says: "1:1: Error: Cannot find module './nosuch': import './nosuch';",
  },
  'no-file.mjs': {
    text: "\nimport './nosuch.mjs';\nexport default () => {};\n",
    says: "2:8: Error: Cannot find module '",
  },
};

t.test('hook files', { skip: cannotRun }, async (t) => {
  const directory = hookDirectory(t);
  fs.mkdirSync(path.join(directory, 'esm'));
  const texts = {
    ...FILES,
    ...Object.fromEntries(Object.entries({ ...GOOD, ...BAD }).map(([name, { text }]) => [name, text])),
  };
  for (const [name, text] of Object.entries(texts)) fs.writeFileSync(path.join(directory, name), text);
  // The first is loaded once more after all that failed.
  const names = ['pass.mjs', ...Object.keys(BAD), ...Object.keys(GOOD), 'pass.mjs'];
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['-e', LOADER, path.join(ROOT, 'dist', 'hooks', 'load.js'), ...names.map((name) => path.join(directory, name))],
    { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } },
  );
  t.equal(stderr, '', 'Node has nothing to say');
  const results = new Map((JSON.parse(stdout) as Record<string, string>[]).map((result, i) => [names[i], result]));
  for (const [name, { says, in: file = name }] of Object.entries(BAD)) {
    const { code, message = '', hint } = results.get(name) ?? {};
    t.equal(code, 'HOOK', name);
    const expected = `hook ${path.join(directory, name)}: cannot be loaded: ${path.join(directory, file)}:${says}`;
    t.equal(message.slice(0, expected.length), expected, name);
    t.match(hint, /^fix the file/, `${name}: hint`);
  }
  for (const [name, { name: called, line }] of Object.entries(GOOD))
    t.same(results.get(name), { name: called, place: `${path.join(directory, name)}:${line}` }, name);
  t.match(results.get('pass.mjs'), { name: 'object' }, 'one that imports what others failed to');
});

t.test('a file that exports something, but no hook', { skip: cannotRun }, async (t) => {
  const args = ['attach', 'vnet0', '--netns', testNetns(t), '--daemon', '--hook'];
  const says = /: has no default export$/;
  const hints = /export default/;
  await refused(
    t,
    [
      hookFile(t, 'named.mjs', 'export const x = 5;\n'),
      hookFile(t, 'named.ts', 'export const x: number = 5;\n'),
      path.join(ROOT, 'dist', 'examples', 'tcp-echo.js'),
    ].map((file) => ({ args: [...args, file], status: 1, says, hints })),
  );
});

t.test('whoever loads it, one line says where it is wrong', { skip: cannotRun }, async (t) => {
  const netns = testNetns(t);
  const hook = hookFile(t, 'bad.ts', 'export default (frame: unknown) => {\n  const x = (1 2);\n};\n');
  const module_ = hookFile(t, 'bad.mjs', 'export default () => {\n  const x = ;\n};\n');
  const says = /bad\.ts:2:16: SyntaxError: '\)' expected: const x = \(1 2\);$/;
  await refused(t, [
    { args: ['attach', 'vnet0', '--netns', netns, '--daemon', '--hook', hook], status: 1, says, hints: /fix the file/ },
    {
      args: ['attach', 'vnet0', '--netns', netns, '--hook', module_],
      status: 1,
      says: /bad\.mjs:2:13: SyntaxError: Unexpected token ';': const x = ;$/,
    },
    { args: ['run', '--hook', hook, '--', 'true'], status: 1, says },
  ]);
  t.notMatch(okIn(netns, 'ip', ['-br', 'link']), /vnet0/, 'nothing is left');
});
