// SPDX-License-Identifier: MIT
/**
 * Checks a site of static files: every link within it leads to a file, and to a place in it; no page asks another host
 * for anything.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { inflateSync } from 'node:zlib';

export interface SiteReport {
  pages: number;
  /** Links and references that were followed. */
  links: number;
  problems: string[];
}

const filesBelow = (directory: string): string[] =>
  fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .sort();

const unescaped = (text: string): string =>
  text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(amp|lt|gt|quot));/gi, (_, decimal, hexadecimal, name) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hexadecimal !== undefined) return String.fromCodePoint(parseInt(String(hexadecimal), 16));
    return { amp: '&', lt: '<', gt: '>', quot: '"' }[String(name).toLowerCase()] ?? '';
  });

interface Tag {
  name: string;
  attributes: Map<string, string>;
}

/** The tags of a page, scripts and comments left out. */
export function tagsOf(html: string): Tag[] {
  const text = html.replace(/<!--[^]*?-->/g, '').replace(/(<script\b[^>]*>)[^]*?(?=<\/script>)/g, '$1');
  return [
    ...text.matchAll(/<([a-z][\w-]*)((?:\s+[^\s=>"'/]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>"']+))?)*)\s*\/?>/gi),
  ].map(([, name = '', rest = '']) => ({
    name: name.toLowerCase(),
    attributes: new Map(
      [...rest.matchAll(/([^\s=>"'/]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?/g)].map(
        ([, key = '', double, single, bare]) => [key.toLowerCase(), unescaped(double ?? single ?? bare ?? '')],
      ),
    ),
  }));
}

/** Where a reader may go. */
const LINKS: readonly (readonly [tag: string, attribute: string])[] = [['a', 'href']];
/** What the browser loads by itself. */
const LOADS: readonly (readonly [tag: string, attribute: string])[] = [
  ['link', 'href'],
  ['script', 'src'],
  ['img', 'src'],
  ['img', 'srcset'],
  ['source', 'src'],
  ['source', 'srcset'],
  ['iframe', 'src'],
  ['object', 'data'],
  ['use', 'href'],
  ['image', 'href'],
];

const targetsIn = (tags: readonly Tag[], kinds: typeof LINKS): string[] =>
  kinds.flatMap(([name, attribute]) =>
    tags.flatMap((tag) => {
      const value = tag.name === name ? tag.attributes.get(attribute) : undefined;
      if (value === undefined) return [];
      return attribute === 'srcset' ? value.split(',').map((each) => each.trim().split(/\s+/)[0] ?? '') : [value];
    }),
  );

/** What a style sheet loads. */
const loadsOfStyle = (css: string): string[] =>
  [...css.matchAll(/url\(\s*(?:"([^"]*)"|'([^']*)'|([^)]*?))\s*\)|@import\s+["']([^"']+)["']/g)]
    .map(([, double, single, bare, imported]) => double ?? single ?? bare ?? imported ?? '')
    .filter((target) => !target.startsWith('data:'));

const isElsewhere = (target: string): boolean => /^([a-z][a-z0-9+.-]*:|\/\/)/i.test(target);

/** The addresses in what typedoc packs for its navigation and its search. */
function packedTargets(script: string): string[] {
  const packed = /"([A-Za-z0-9+/=]+)"/.exec(script)?.[1] ?? '';
  const text = inflateSync(Buffer.from(packed, 'base64')).toString('utf8');
  return [...text.matchAll(/"(?:path|url)":"([^"]*)"/g)].map(([, target = '']) => target);
}

export function checkSite(directory: string): SiteReport {
  const files = new Set(filesBelow(directory));
  const read = (file: string): string => fs.readFileSync(path.join(directory, file), 'utf8');
  const pages = new Map([...files].filter((file) => file.endsWith('.html')).map((file) => [file, tagsOf(read(file))]));
  const anchors = new Map(
    [...pages].map(([file, tags]) => [file, new Set(tags.flatMap(({ attributes }) => attributes.get('id') ?? []))]),
  );
  const problems: string[] = [];
  let links = 0;
  const follow = (from: string, target: string): void => {
    links++;
    const [address = '', anchor = ''] = target.split('#');
    const file = address === '' ? from : path.posix.join(path.posix.dirname(from), decodeURI(address));
    if (!files.has(file)) problems.push(`${from}: ${target}: no such file`);
    else if (anchor !== '' && pages.has(file) && !anchors.get(file)?.has(decodeURIComponent(anchor)))
      problems.push(`${from}: ${target}: no such place`);
  };
  const load = (from: string, target: string): void => {
    if (target.startsWith('data:')) return;
    if (isElsewhere(target)) problems.push(`${from}: loads ${target}`);
    else follow(from, target);
  };
  for (const [page, tags] of pages) {
    for (const target of targetsIn(tags, LINKS)) if (!isElsewhere(target)) follow(page, target);
    for (const target of targetsIn(tags, LOADS)) load(page, target);
    for (const { attributes } of tags)
      for (const target of loadsOfStyle(attributes.get('style') ?? '')) load(page, target);
    for (const [, css = ''] of read(page).matchAll(/<style[^>]*>([^]*?)<\/style>/g))
      for (const target of loadsOfStyle(css)) load(page, target);
  }
  for (const file of files) {
    if (file.endsWith('.css')) for (const target of loadsOfStyle(read(file))) load(file, target);
    if (/^assets\/(navigation|search)\.js$/.test(file))
      for (const target of packedTargets(read(file))) follow('index.html', target);
    // What a script could fetch with: typedoc's own needs none of these.
    if (
      file.endsWith('.js') &&
      /\b(XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts)\b|\bfetch\(/.test(read(file))
    )
      problems.push(`${file}: a script that loads something`);
  }
  return { pages: pages.size, links, problems };
}
