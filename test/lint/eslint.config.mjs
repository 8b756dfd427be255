// SPDX-License-Identifier: MIT
// What tsc does not see: forgotten promises, `any` that creeps in, unused and unsafe code.
// Layout is the formatter's.
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['**/dist/', '**/node_modules/', '**/*.mjs', '**/*.cjs', '**/*.js'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        tsconfigRootDir: path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..'),
        // All that Node runs as one program: with one for each project, the types of src are worked out three times.
        project: ['test/lint/tsconfig.json', 'src/web/page/tsconfig.json'],
      },
    },
    linterOptions: { reportUnusedDisableDirectives: 'off' },
    rules: {
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-console': 'off',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      // Some assertions are necessary with one version of @types/node and not with another.
      '@typescript-eslint/no-unnecessary-type-assertion': 'off',
      // Interfaces of plain functions are not classes.
      '@typescript-eslint/unbound-method': 'off',
      // koffi's types are those of an ES module; libbpf-ts/src/native says why `require` is right there.
      // src/cli/commands.ts says it of the modules of the commands.
      '@typescript-eslint/no-require-imports': [
        'error',
        { allow: ['koffi', 'package\\.json$', '^\\.{1,2}/([a-z-]+/)*[a-z-]+$'] },
      ],
    },
  },
  {
    files: ['src/**/*.{ts,tsx}'],
    ignores: ['src/libbpf-ts/test/**'],
    rules: {
      // Durations are measured by clocks that cannot be set: src/native/clock.ts.
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'clock.now() of src/native/clock.ts does not go back' },
        { object: 'fs', property: 'rmSync', message: 'removeTree() of src/native/removal.ts says why it failed' },
      ],
      'no-restricted-syntax': [
        'error',
        { selector: 'ImportSpecifier[imported.name="rmSync"]', message: 'unpin() of fd.ts says why it failed' },
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'src/libbpf-ts/test/**/*.ts'],
    rules: {
      // tap's t.test() gives a promise that tap itself waits for.
      '@typescript-eslint/no-floating-promises': 'off',
      '@typescript-eslint/require-await': 'off',
      // Documents that a test has just parsed are checked by the test itself.
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  {
    // The parser does not understand import types with a resolution mode, which koffi needs.
    files: ['src/native/*.ts', 'src/libbpf-ts/src/native/*.ts'],
    rules: { '@typescript-eslint/no-unsafe-assignment': 'off' },
  },
);
