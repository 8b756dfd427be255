// SPDX-License-Identifier: MIT
/**
 * `node published.js DIRECTORY`, from the root of the repository: turns what `npm pack` has packed into what is
 * published. Installing that gives the exact versions of package-lock.json, and runs no script.
 *
 * npm obeys npm-shrinkwrap.json in packages from a registry, but not in a local tarball, so the manifest also names
 * every package. koffi is included without its install script, which would compile what comes ready-made in a package
 * for each kind of machine.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { removeTree } from '../native/removal';

interface LockedPackage {
  version?: string;
  dev?: boolean;
  devOptional?: boolean;
  optional?: boolean;
  link?: boolean;
  resolved?: string;
  os?: readonly string[];
  [field: string]: unknown;
}

export interface Lock {
  packages: Record<string, LockedPackage>;
  [field: string]: unknown;
}

export type Manifest = Record<string, unknown>;

/** Packages that are inside the tarball. */
const BUNDLED: readonly string[] = ['libbpf-ts', 'koffi'];
const ONLY_HERE = ['dev', 'devOptional', 'hasInstallScript', 'devDependencies', 'workspaces', 'bundleDependencies'];
const SCRIPTS = ['preinstall', 'install', 'postinstall'];

const nameOf = (place: string): string => place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
const without = (from: LockedPackage, names: readonly string[]): LockedPackage =>
  Object.fromEntries(Object.entries(from).filter(([name]) => !names.includes(name)));

/** The packages of the lock with which the product runs on Linux, by their places; the first is the product's own. */
export function productionOf({ packages }: Lock): [string, LockedPackage][] {
  return Object.entries(packages).filter(([place, { dev, devOptional, os }]) => {
    const isPackage = place === '' || place.includes('node_modules/'); // a workspace counts where its link is
    return isPackage && !dev && !devOptional && (os?.includes('linux') ?? true);
  });
}

/** The content of npm-shrinkwrap.json. */
export function shrinkwrapOf(lock: Lock): Lock {
  const packages = productionOf(lock).map(([place, locked]): [string, LockedPackage] => {
    const { resolved = '', link } = locked;
    const kept = without(link ? (lock.packages[resolved] as LockedPackage) : locked, ONLY_HERE);
    return [place, BUNDLED.includes(nameOf(place)) ? { ...kept, inBundle: true } : kept];
  });
  return { ...lock, packages: Object.fromEntries(packages) };
}

/**
 * The content of package.json: each package with its version, those for one kind of machine as optional. Throws if two
 * versions of a package are needed.
 */
export function manifestOf(manifest: Manifest, lock: Lock): Manifest {
  const dependencies: Record<string, string> = {};
  const optionalDependencies: Record<string, string> = {};
  for (const [place, locked] of productionOf(lock).slice(1)) {
    const { version, optional } = locked.link ? (lock.packages[locked.resolved ?? ''] as LockedPackage) : locked;
    const into = optional ? optionalDependencies : dependencies;
    if (version === undefined || into[nameOf(place)] !== undefined)
      throw new Error(`${place}: a manifest has place for one version of a package`);
    into[nameOf(place)] = version;
  }
  return {
    ...without(manifest as LockedPackage, ONLY_HERE),
    dependencies,
    optionalDependencies,
    bundleDependencies: BUNDLED,
  };
}

/** koffi's manifest in the bundle: our manifest requests its part for each kind of machine. */
export function withoutScripts(manifest: Manifest): Manifest {
  const { scripts = {}, optionalDependencies: _, ...kept } = manifest;
  return {
    ...kept,
    scripts: Object.fromEntries(Object.entries(scripts as Manifest).filter(([name]) => !SCRIPTS.includes(name))),
  };
}

function main(directory: string): void {
  const read = (file: string): Manifest => JSON.parse(fs.readFileSync(file, 'utf8')) as Manifest;
  const write = (file: string, content: unknown): void =>
    fs.writeFileSync(path.join(directory, file), `${JSON.stringify(content, null, 2)}\n`);
  const lock = read('package-lock.json') as Lock;
  write('npm-shrinkwrap.json', shrinkwrapOf(lock));
  write('package.json', manifestOf(read(path.join(directory, 'package.json')), lock));
  // npm packs the dependencies of libbpf-ts beside it, with the part for this machine only.
  removeTree(path.join(directory, 'node_modules', '@koromix'));
  const koffi = path.join('node_modules', 'koffi', 'package.json');
  write(koffi, withoutScripts(read(path.join(directory, koffi))));
}

if (require.main === module) main(process.argv[2] ?? '');
