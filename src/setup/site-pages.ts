// SPDX-License-Identifier: MIT
/** What the site of the documents consists of: the pages in the README's order, and the files that they link to. */
import * as fs from 'node:fs';
import * as path from 'node:path';

export interface SitePage {
  /** Relative to the root of the repository. */
  file: string;
  title: string;
  /** The part of the navigation in which it stands. */
  category: string;
}

/** The name of a heading in an address, as GitHub makes it of the heading's text. */
export const slugOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');

/** The names of the headings of one page: a second one of the same text gets a number. */
export class Slugs {
  readonly #seen = new Map<string, number>();
  readonly #given = new Set<string>();

  add(heading: string): string {
    const slug = slugOf(heading);
    const count = this.#seen.get(slug) ?? 0;
    this.#seen.set(slug, count + 1);
    const name = count === 0 ? slug : `${slug}-${count}`;
    this.#given.add(name);
    return name;
  }

  get all(): readonly string[] {
    return [...this.#given];
  }
}

/** Text of Markdown without its marks, for a list of names. */
const plain = (markdown: string): string => markdown.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*"]/g, '');

/** What a page is called in the navigation: its heading, up to a colon. */
export function titleOf(markdown: string): string {
  const heading = /^# (.*)$/m.exec(markdown)?.[1];
  if (heading === undefined) throw new Error('a page without a heading');
  return plain(heading).replace(/:.*/, '');
}

/** The pages that the README lists below "Documentation", in its order and under its words. */
export function pagesOf(root: string): SitePage[] {
  const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
  const list = /^## Documentation\n([^]*?)^## /m.exec(readme)?.[1];
  if (list === undefined) throw new Error('README.md has no list of documents');
  let category = '';
  return list.split('\n').flatMap((line) => {
    category = /^(\w.*):$/.exec(line)?.[1] ?? category;
    const file = /^- \[[^\]]*\]\(([^)]+\.md)\)/.exec(line)?.[1];
    return file === undefined
      ? []
      : [{ file, category, title: titleOf(fs.readFileSync(path.join(root, file), 'utf8')) }];
  });
}

const PICTURE = /\.(svg|png)$/;

/** Files and directories that pages link to and that are neither pages nor pictures, relative to the root. */
export function linkedFiles(root: string, pages: readonly string[]): string[] {
  const linked = pages.flatMap((page) => {
    const text = fs.readFileSync(path.join(root, page), 'utf8').replace(/^ *```[^]*?^ *```$/gm, '');
    return [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^[a-z]+:/.test(target))
      .map((target) => path.join(path.dirname(page), target));
  });
  return [...new Set(linked)]
    .filter((file) => !pages.includes(file) && file !== 'README.md' && !PICTURE.test(file))
    .sort();
}

/** All files and directories of the site besides its pages: those that are linked, and what lies in the directories. */
export function sourceFiles(root: string, linked: readonly string[], pages: readonly string[]): string[] {
  const all = linked.flatMap((file): string[] => {
    if (!fs.statSync(path.join(root, file)).isDirectory()) return [file];
    const inside = fs.readdirSync(path.join(root, file)).map((name) => path.join(file, name));
    return [file, ...sourceFiles(root, inside, pages)];
  });
  return [...new Set(all)].filter((file) => !pages.includes(file)).sort();
}

const LANGUAGES: Readonly<Record<string, string>> = {
  '.ts': 'ts',
  '.mjs': 'js',
  '.json': 'json',
  '.service': 'ini',
  '.conf': 'ini',
};

/**
 * The page of a file or directory, in Markdown that lies at `from`. A file's text is shown; of a directory, what is in
 * it.
 */
export function sourcePage(root: string, file: string, from: string): string {
  const absolute = path.join(root, file);
  if (fs.statSync(absolute).isDirectory()) {
    const items = fs.readdirSync(absolute).map((name) => {
      const target = path.relative(path.dirname(from), path.join(absolute, name));
      return `- [${name}](${target})`;
    });
    return [`# ${file}`, '', ...items, ''].join('\n');
  }
  const fence = '````';
  const language = LANGUAGES[path.extname(file)] ?? 'text';
  return [`# ${file}`, '', `${fence}${language}`, fs.readFileSync(absolute, 'utf8').trimEnd(), fence, ''].join('\n');
}
