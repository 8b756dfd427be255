// SPDX-License-Identifier: MIT
// Picks from node_modules what the guest runs: 149 MB become a few, and every file less is boot time saved.
import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { builtinModules } from 'node:module';
import path from 'node:path';

/** What the project and its tests load at run time; tap comes in one piece: tap-bundle.ts. */
const roots = ['koffi', '@koromix/koffi-linux-x64', 'yargs'];

/** Files of the packages and all that they depend on, as paths relative to the repository. */
export function packageFiles(repository: string): string[] {
  const found = new Set<string>();
  const visit = (name: string, from: string, optional: boolean): void => {
    if (builtinModules.includes(name)) return;
    const directory = resolve(name, from, repository);
    if (directory === undefined) {
      if (optional) return;
      throw new Error(
        `node_modules lacks ${name}, needed by ${path.relative(repository, from) || 'the tests'}: run npm ci`,
      );
    }
    if (found.has(directory)) return;
    found.add(directory);
    const manifest = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')) as {
      dependencies?: Record<string, string>;
      optionalDependencies?: Record<string, string>;
      peerDependencies?: Record<string, string>;
    };
    for (const needed of Object.keys(manifest.dependencies ?? {})) visit(needed, directory, false);
    for (const needed of Object.keys({ ...manifest.optionalDependencies, ...manifest.peerDependencies }))
      visit(needed, directory, true);
  };
  for (const name of roots) visit(name, repository, false);
  return [...found]
    .flatMap((directory) => usefulFiles(directory))
    .map((file) => path.relative(repository, file))
    .sort();
}

/** As node searches: node_modules of the package itself, then of each directory above. */
function resolve(name: string, from: string, repository: string): string | undefined {
  for (let directory = from; ; directory = path.dirname(directory)) {
    const candidate = path.join(directory, 'node_modules', name);
    if (existsSync(path.join(candidate, 'package.json'))) return realpathSync(candidate);
    if (directory === repository || directory === path.dirname(directory)) return undefined;
  }
}

function usefulFiles(root: string): string[] {
  const walk = (directory: string): string[] =>
    readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
      const file = path.join(directory, entry.name);
      if (entry.isDirectory()) return skipDirectory(directory, entry.name) ? [] : walk(file);
      return entry.isFile() && /\.(c?js|json|node)$/.test(entry.name) ? [file] : [];
    });
  return walk(root);
}

function skipDirectory(parent: string, name: string): boolean {
  // node_modules below a package are packages of their own; everything here is loaded with require.
  if (name === 'node_modules' || name.startsWith('musl_')) return true;
  if (name === 'esm' || name === 'browser') return existsSync(path.join(parent, 'commonjs'));
  return ['doc', 'docs', 'vendor', 'test', 'tests'].includes(name) && existsSync(path.join(parent, 'package.json'));
}
