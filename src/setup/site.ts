// SPDX-License-Identifier: MIT
/**
 * `site.js DIRECTORY`: makes the site of the documents there, with typedoc: the README, the pages of docs/, the files
 * that they link to, and the pages of the library. Then it checks all links; the exit status is 1 if one leads nowhere.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import type { Application, DocumentReflection, ProjectReflection } from 'typedoc' with { 'resolution-mode': 'import' };

import { removeTree } from '../native/removal';
import { checkSite } from './site-check';
import { linkedFiles, pagesOf, type SitePage, Slugs, sourceFiles, sourcePage } from './site-pages';

const ROOT = path.resolve(__dirname, '..', '..');
const LIBRARY = 'The library';
const FILES = 'Files';

/** Pages that are made of other files lie here while the site is made. */
const MADE = path.join(ROOT, 'dist', '.site');

/** What the library exports: the name that programs import, by its source. */
function entriesOf(root: string): Map<string, string> {
  const { name, exports } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    name: string;
    exports: Record<string, string | { types: string }>;
  };
  return new Map(
    Object.entries(exports).flatMap(([entry, target]) =>
      typeof target === 'string' || entry.includes('*')
        ? []
        : [
            [
              path.join(root, target.types.replace(/^\.\/dist\//, 'src/').replace(/\.d\.ts$/, '.ts')),
              path.posix.join(name, entry),
            ],
          ],
    ),
  );
}

interface Content {
  /** By the absolute name of the Markdown. */
  pages: ReadonlyMap<string, SitePage>;
  /** The file or directory that such a page stands for, if it is not itself. */
  sources: ReadonlyMap<string, string>;
  /** The name of a module of the library, by its source. */
  entries: ReadonlyMap<string, string>;
}

function contentOf(root: string): Content {
  const listed = pagesOf(root);
  const names = listed.map(({ file }) => file);
  const pages = new Map(listed.map((page) => [path.join(root, page.file), page]));
  const sources = new Map<string, string>();
  removeTree(MADE);
  for (const file of sourceFiles(root, linkedFiles(root, ['README.md', ...names]), names)) {
    const made = path.join(MADE, `${file}.md`);
    fs.mkdirSync(path.dirname(made), { recursive: true });
    fs.writeFileSync(made, sourcePage(root, file, made));
    pages.set(made, { file, title: file, category: FILES });
    sources.set(made, path.join(root, file));
  }
  return { pages, sources, entries: entriesOf(root) };
}

/** An ES module, which this file cannot require. */
const loadTypedoc = () => import('typedoc');

type Typedoc = Awaited<ReturnType<typeof loadTypedoc>>;

/** Pages have the names that they have in the repository, and headings those that GitHub gives them. */
function routerOf({ KindRouter, Slugger }: Typedoc, pageOf: (document: unknown) => SitePage | undefined) {
  class GitHubSlugger extends Slugger {
    readonly #slugs = new Slugs();

    override slug(heading: string): string {
      return this.#slugs.add(heading);
    }

    override hasAnchor(anchor: string): boolean {
      return this.#slugs.all.includes(anchor);
    }

    override getSimilarAnchors(): string[] {
      return [...this.#slugs.all];
    }
  }

  return class RepositoryRouter extends KindRouter {
    protected override getIdealBaseName(...[target]: Parameters<InstanceType<Typedoc['KindRouter']>['getFullUrl']>) {
      const page = pageOf(target);
      return page ? page.file.replace(/\.md$/, '') : super.getIdealBaseName(target as never);
    }

    override buildPages(project: ProjectReflection) {
      const pages = super.buildPages(project);
      for (const target of this.sluggers.keys())
        if (target === project || pageOf(target))
          this.sluggers.set(target, new GitHubSlugger(this.sluggerConfiguration));
      return pages;
    }
  };
}

interface Token {
  type: string;
  info: string;
  content: string;
  children: Token[] | null;
}

interface Parser {
  core: {
    ruler: {
      push(
        name: string,
        rule: (state: { tokens: Token[]; Token: new (type: string, tag: string, nesting: 0) => Token }) => void,
      ): void;
    };
  };
}

/**
 * Two things that typedoc does otherwise: text without a language is shown as it is, not as TypeScript, and code in a
 * heading counts for the heading's name.
 */
function asWritten(parser: Parser): void {
  parser.core.ruler.push('as-written', ({ tokens, Token }) => {
    const made = (type: string, content: string): Token => Object.assign(new Token(type, '', 0), { content });
    tokens.forEach((token, i) => {
      if (token.type === 'fence' && token.info === '') token.info = 'text';
      if (tokens[i - 1]?.type !== 'heading_open' || token.children === null) return;
      token.children = token.children.flatMap((child) =>
        child.type === 'code_inline'
          ? [made('html_inline', '<code>'), made('text', child.content), made('html_inline', '</code>')]
          : [child],
      );
    });
  });
}

function prepare(typedoc: Typedoc, app: Application, content: Content): void {
  const { Converter, PageEvent, ReflectionKind } = typedoc;
  const pageOf = (document: unknown): SitePage | undefined =>
    document instanceof typedoc.DocumentReflection ? pageOfDocument(document) : undefined;
  const pageOfDocument = (document: DocumentReflection): SitePage | undefined =>
    content.pages.get(document.project.files.getReflectionPath(document) ?? '');
  app.renderer.defineRouter('repository', routerOf(typedoc, pageOf));
  app.options.setValue('router', 'repository');
  app.options.setValue('markdownItLoader', asWritten);
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, document) => {
    if (!(document instanceof typedoc.DocumentReflection)) return;
    const page = pageOfDocument(document);
    if (!page) return;
    document.name = page.title;
    document.frontmatter['category'] = page.category;
    const source = content.sources.get(document.project.files.getReflectionPath(document) ?? '');
    if (source !== undefined) document.project.files.registerReflectionPath(source as never, document);
  });
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getChildrenByKind(ReflectionKind.Module)) {
      const name = content.entries.get(project.files.getReflectionPath(module) ?? '');
      if (name !== undefined) module.name = name;
    }
  });
  // A directory has no page where no server adds the name of one.
  app.renderer.on(PageEvent.END, (page) => {
    if (page.contents !== undefined)
      page.contents = page.contents.replace(/(?<= href=")((?:\.\.\/)+|\.\/)(?=["#])/g, '$1index.html');
  });
}

async function make(out: string): Promise<boolean> {
  const typedoc = await loadTypedoc();
  const content = contentOf(ROOT);
  const app = await typedoc.Application.bootstrap({
    name: 'vnet-bpf',
    tsconfig: path.join(ROOT, 'tsconfig.json'),
    entryPoints: [...content.entries.keys()],
    readme: path.join(ROOT, 'README.md'),
    projectDocuments: [...content.pages.keys()],
    customCss: path.join(ROOT, 'src', 'setup', 'site.css'),
    excludeInternal: true,
    excludeProtected: true,
    excludeExternals: true,
    disableSources: true,
    categorizeByGroup: false,
    defaultCategory: LIBRARY,
    categoryOrder: [...pagesOf(ROOT).map(({ category }) => category), LIBRARY, '*', FILES],
    navigation: { includeCategories: true, includeGroups: false },
    headings: { readme: false, document: false },
    searchInComments: true,
    searchInDocuments: true,
    highlightLanguages: [...typedoc.OptionDefaults.highlightLanguages, 'c', 'docker', 'ini'],
    ignoredHighlightLanguages: ['promql'],
    hideGenerator: true,
    // A name that the library only uses is not documented; a link that leads nowhere is an error.
    validation: {
      notExported: false,
      invalidLink: true,
      invalidPath: true,
      rewrittenLink: false,
      notDocumented: false,
    },
  });
  prepare(typedoc, app, content);
  const project = await app.convert();
  if (!project) return false;
  await app.generateDocs(project, out);
  return !app.logger.hasErrors() && !app.logger.hasWarnings();
}

async function main(out: string): Promise<void> {
  const isMade = await make(out);
  removeTree(MADE);
  const { problems, links, pages } = checkSite(out);
  for (const problem of problems) console.error(problem);
  console.log(`docs: ${pages} pages, ${links} links, ${problems.length} of which lead nowhere`);
  if (!isMade || problems.length > 0) process.exitCode = 1;
}

if (require.main === module) void main(path.resolve(process.argv[2] ?? path.join(ROOT, 'dist', 'docs')));
