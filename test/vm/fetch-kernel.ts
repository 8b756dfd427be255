// SPDX-License-Identifier: MIT
// Brings a kernel of the table into the cache: unpacked, never installed. Once there it is used without any
// network until it is asked to be renewed; a stamp pins what it is.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Apt, type Package } from './apt';
import { run } from './command';
import type { Kernel } from './kernels';
import { cache } from './paths';

export interface FetchedKernel {
  readonly name: string;
  /** What `uname -r` says in the guest. */
  readonly release: string;
  /** Debian's version of the package. */
  readonly version: string;
  readonly vmlinuz: string;
  /** The directory that holds modules.builtin and the kernel/ tree. */
  readonly modules: string;
}

interface Stamp {
  readonly release: string;
  readonly fetched: string;
  readonly packages: readonly Pick<Package, 'name' | 'version' | 'sha256'>[];
  /** Of the boot image as unpacked: a damaged cache is noticed before it boots. */
  readonly vmlinuzSha256: string;
}

const stampName = 'stamp.json';

/** Fetches what is missing (or, with `renew`, what has become old). Throws one error per kernel, through `missing`. */
export function fetchKernels(
  wanted: readonly Kernel[],
  options: { renew?: boolean; announce: (text: string) => void; missing: (kernel: Kernel, why: string) => void },
): Map<string, FetchedKernel> {
  const found = new Map<string, FetchedKernel>();
  const cached = new Map(wanted.map((kernel) => [kernel.name, readCached(kernel)]));
  const toFetch = wanted.filter((kernel) => options.renew || !cached.get(kernel.name));
  let apt: Apt | undefined;
  let trouble = '';
  if (toFetch.length > 0) {
    try {
      apt = new Apt([...new Set(toFetch.flatMap((kernel) => kernel.suites))]);
      apt.update();
    } catch (error) {
      // Not fatal: one dead suite must not take the others along, and old lists may still do.
      trouble = (error as Error).message;
    }
  }
  for (const kernel of wanted) {
    let result = cached.get(kernel.name);
    if (toFetch.includes(kernel)) {
      try {
        if (!apt) throw new Error(trouble);
        result = fetchOne(kernel, apt, result, options.announce);
      } catch (error) {
        const why = [(error as Error).message, trouble].filter(Boolean).join('; ');
        if (!result) {
          options.missing(kernel, why);
          continue;
        }
        options.announce(`kernel ${kernel.name}: not renewed, using ${result.version} from the cache: ${why}`);
      }
    }
    found.set(kernel.name, result!);
  }
  return found;
}

function fetchOne(
  kernel: Kernel,
  apt: Apt,
  cached: FetchedKernel | undefined,
  announce: (text: string) => void,
): FetchedKernel {
  const image = newest(apt.names(kernel.image))
    .map((name) => apt.candidate(name))
    .find((candidate) => candidate !== undefined);
  if (!image) throw new Error(`no package matches ${kernel.image} in ${kernel.suites.join(', ')}`);
  const release = image.name.replace(/^linux-image-/, '');
  if (cached?.release === release && cached.version === image.version) return cached;
  // Up to 6.18 the image package holds everything; from 6.19 on it is empty and depends on the parts.
  const parts = image.depends.filter((name) => /^linux-(binary|modules|base)-/.test(name) && name.endsWith(release));
  const packages = [image, ...parts.map((name) => apt.candidate(name)).filter((part) => part !== undefined)];

  const started = Date.now();
  const home = path.join(cache('kernels'), kernel.name);
  const fresh = `${home}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(path.join(fresh, 'debs'), { recursive: true });
  for (const wanted of packages) apt.download(wanted, path.join(fresh, 'debs'));
  for (const deb of readdirSync(path.join(fresh, 'debs'))) {
    const file = path.join(fresh, 'debs', deb);
    const sum = sha256(file);
    if (!packages.some((known) => known.sha256 === sum)) throw new Error(`${deb} is not what the index promised`);
    run('dpkg-deb', ['-x', file, fresh]);
  }
  rmSync(path.join(fresh, 'debs'), { recursive: true });
  const stamp: Stamp = {
    release,
    fetched: new Date().toISOString(),
    packages: packages.map(({ name, version, sha256: sum }) => ({ name, version, sha256: sum })),
    vmlinuzSha256: sha256(locate(fresh, release).vmlinuz),
  };
  // The stamp last, then the swap: an interrupted fetch is never taken for a kernel.
  writeFileSync(path.join(fresh, stampName), `${JSON.stringify(stamp, null, 2)}\n`);
  rmSync(home, { recursive: true, force: true });
  renameSync(fresh, home);
  announce(
    `kernel ${kernel.name}: fetched ${image.name} ${image.version} in ${((Date.now() - started) / 1000).toFixed(1)} s`,
  );
  return { name: kernel.name, release, version: image.version, ...locate(home, release) };
}

function readCached(kernel: Kernel): FetchedKernel | undefined {
  const home = path.join(cache('kernels'), kernel.name);
  const file = path.join(home, stampName);
  if (!existsSync(file)) return undefined;
  const stamp = JSON.parse(readFileSync(file, 'utf8')) as Stamp;
  // A changed table entry must not be answered with what the old one meant.
  if (!kernel.image.test(stamp.packages[0]!.name)) return undefined;
  const located = locate(home, stamp.release);
  if (sha256(located.vmlinuz) !== stamp.vmlinuzSha256) return undefined;
  return { name: kernel.name, release: stamp.release, version: stamp.packages[0]!.version, ...located };
}

/** Where a package, old layout or new, has put its boot image and modules. */
function locate(root: string, release: string): { vmlinuz: string; modules: string } {
  const modules = first([`lib/modules/${release}`, `usr/lib/modules/${release}`].map((name) => path.join(root, name)));
  return { vmlinuz: first([path.join(root, `boot/vmlinuz-${release}`), path.join(modules, 'vmlinuz')]), modules };
}

function first(candidates: readonly string[]): string {
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined) throw new Error(`none of ${candidates.join(', ')} exists`);
  return found;
}

/** Newest first, comparing the numbers in the names. */
export function newest(names: readonly string[]): string[] {
  const numbers = (name: string) => (name.match(/\d+/g) ?? []).map(Number);
  return [...names].sort((left, right) => {
    const [a, b] = [numbers(left), numbers(right)];
    const at = a.findIndex((value, index) => value !== b[index]);
    return at < 0 ? 0 : (b[at] ?? -1) - a[at]!;
  });
}

function sha256(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}
