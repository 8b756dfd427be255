// SPDX-License-Identifier: MIT
/**
 * `node published.js DIRECTORY`, from the root of the repository: turns what `npm pack` has packed into what is
 * published, where whoever installs it gets the very versions of package-lock.json, and no script is run.
 *
 * npm obeys npm-shrinkwrap.json in what comes from a registry, but not in a tarball of one's own, so the manifest names
 * every package, too. koffi goes along without its install script, which would compile what comes ready-made in a
 * package of its own for each kind of machine.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

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

/** What lies inside the tarball. */
const BUNDLED: readonly string[] = ['libbpf-ts', 'koffi'];
const ONLY_HERE = ['dev', 'devOptional', 'hasInstallScript', 'devDependencies', 'workspaces', 'bundleDependencies'];
const SCRIPTS = ['preinstall', 'install', 'postinstall'];

const nameOf = (place: string): string => place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
const without = (from: LockedPackage, names: readonly string[]): LockedPackage => Object.fromEntries(Object.entries(from).filter(([name]) => !names.includes(name)));

/** The packages of the lock that the product runs with on Linux, by their places; the first is the product's own. */
export function productionOf({ packages }: Lock): [string, LockedPackage][] {
  return Object.entries(packages).filter(([place, { dev, devOptional, os }]) => {
    const isPackage = place === '' || place.includes('node_modules/'); // a workspace is where its link is
    return isPackage && !dev && !devOptional && (os?.includes('linux') ?? true);
  });
}

/** npm-shrinkwrap.json. */
export function shrinkwrapOf(lock: Lock): Lock {
  const packages = productionOf(lock).map(([place, locked]): [string, LockedPackage] => {
    const { resolved = '', link } = locked;
    const kept = without(link ? (lock.packages[resolved] as LockedPackage) : locked, ONLY_HERE);
    return [place, BUNDLED.includes(nameOf(place)) ? { ...kept, inBundle: true } : kept];
  });
  return { ...lock, packages: Object.fromEntries(packages) };
}

/** package.json: each package in its version, those for one kind of machine as optional ones. Throws if two versions of one are needed. */
export function manifestOf(manifest: Manifest, lock: Lock): Manifest {
  const dependencies: Record<string, string> = {};
  const optionalDependencies: Record<string, string> = {};
  for (const [place, locked] of productionOf(lock).slice(1)) {
    const { version, optional } = locked.link ? (lock.packages[locked.resolved ?? ''] as LockedPackage) : locked;
    const into = optional ? optionalDependencies : dependencies;
    if (version === undefined || into[nameOf(place)] !== undefined) throw new Error(`${place}: a manifest has place for one version of a package`);
    into[nameOf(place)] = version;
  }
  return { ...without(manifest as LockedPackage, ONLY_HERE), dependencies, optionalDependencies, bundleDependencies: BUNDLED };
}

/** koffi as it is bundled: what it has for each kind of machine is asked for by ours. */
export function withoutScripts(manifest: Manifest): Manifest {
  const { scripts = {}, optionalDependencies: _, ...kept } = manifest;
  return { ...kept, scripts: Object.fromEntries(Object.entries(scripts as Manifest).filter(([name]) => !SCRIPTS.includes(name))) };
}

function main(directory: string): void {
  const read = (file: string): Manifest => JSON.parse(fs.readFileSync(file, 'utf8')) as Manifest;
  const write = (file: string, content: unknown): void => fs.writeFileSync(path.join(directory, file), `${JSON.stringify(content, null, 2)}\n`);
  const lock = read('package-lock.json') as Lock;
  write('npm-shrinkwrap.json', shrinkwrapOf(lock));
  write('package.json', manifestOf(read(path.join(directory, 'package.json')), lock));
  // npm packs what libbpf-ts depends on beside it, with what is right for this machine only.
  fs.rmSync(path.join(directory, 'node_modules', '@koromix'), { recursive: true, force: true });
  const koffi = path.join('node_modules', 'koffi', 'package.json');
  write(koffi, withoutScripts(read(path.join(directory, koffi))));
}

if (require.main === module) main(process.argv[2] ?? '');
