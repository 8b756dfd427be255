// SPDX-License-Identifier: MIT
/** docs/SECURITY.md, about hooks: what is loaded as root, and what is refused. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import t, { type Test } from 'tap';

import { ControlClient } from '../../src/control/socket';
import { VnetError } from '../../src/errors';
import { controlSocket } from '../../src/state/store';
import { attachedIn, attachmentOf, cannotRun, SLOW } from '../helpers/cli';
import { listed } from '../helpers/controller';
import { hookDirectory } from '../helpers/hook-file';
import { quietNetns, run } from '../helpers/netns';
import { PLAIN, SOMEBODY, Trap } from '../helpers/trap';

t.setTimeout(300_000 * SLOW);

const PASS = `export default () => 'pass';`;

/** A tree of files to load a hook from. Directories are root's alone unless a case changes them. */
class Tree {
  readonly trap: Trap;

  constructor(
    readonly root: string,
    trapIn: string,
  ) {
    this.trap = new Trap(trapIn);
  }

  at(name: string): string {
    return path.join(this.root, name);
  }

  write(name: string, text: string): void {
    fs.mkdirSync(path.dirname(this.at(name)), { recursive: true });
    fs.writeFileSync(this.at(name), text);
  }

  give(name: string): void {
    fs.lchownSync(this.at(name), SOMEBODY, SOMEBODY);
  }
}

interface Case {
  name: string;
  /** Creates the files; returns the hook's name. */
  make(tree: Tree): string;
  /** The error; null if the hook is good. */
  says: RegExp | null;
}

/**
 * Creates a good module, and root's link to it that leads through a directory of another user, who could redirect it.
 */
function turnable(tree: Tree, link: string): void {
  const ending = path.extname(link);
  tree.write(`good/m${ending}`, ending === '.mjs' ? tree.trap.module : tree.trap.commonJs);
  fs.mkdirSync(tree.at('theirs'), { recursive: true });
  fs.symlinkSync(tree.at(`good/m${ending}`), tree.at(`theirs/l${ending}`));
  tree.give(`theirs/l${ending}`);
  tree.give('theirs');
  fs.mkdirSync(path.dirname(tree.at(link)), { recursive: true });
  fs.symlinkSync(tree.at(`theirs/l${ending}`), tree.at(link));
}

const FOREIGN = 'does not belong to root';
const WRITABLE = 'can be written by others than root';

const CASES: readonly (Case & { sentence: string })[] = [
  {
    sentence: 'H2',
    name: "somebody else's file",
    says: /h\.mjs does not belong/,
    make: (tree) => {
      tree.write('h.mjs', tree.trap.module);
      tree.give('h.mjs');
      return 'h.mjs';
    },
  },
  {
    sentence: 'H2',
    name: 'a file that others can write',
    says: /h\.js can be written/,
    make: (tree) => {
      tree.write('h.js', tree.trap.commonJs);
      fs.chmodSync(tree.at('h.js'), 0o666);
      return 'h.js';
    },
  },
  {
    sentence: 'H2',
    name: 'a directory that others can write',
    says: /open can be written/,
    make: (tree) => {
      tree.write('open/h.mjs', tree.trap.module);
      fs.chmodSync(tree.at('open'), 0o757);
      return 'open/h.mjs';
    },
  },
  {
    sentence: 'H2',
    name: 'a directory that a group can write, further up',
    says: /team can be written/,
    make: (tree) => {
      tree.write('team/mine/h.ts', PASS);
      fs.chmodSync(tree.at('team'), 0o775);
      return 'team/mine/h.ts';
    },
  },
  {
    sentence: 'H3',
    name: "root's directory below a sticky one, such as /tmp",
    says: /sticky can be written/,
    make: (tree) => {
      tree.write('sticky/d/h.ts', `import 'x'; ${PASS}`);
      tree.write('sticky/node_modules/x/index.js', tree.trap.commonJs);
      fs.chmodSync(tree.at('sticky'), 0o1777);
      return 'sticky/d/h.ts';
    },
  },
  {
    sentence: 'H3',
    name: 'the same with a package.json of somebody else above it',
    says: /sticky can be written/,
    make: (tree) => {
      tree.write('sticky/d/h.js', `require('evil'); module.exports = () => 'pass';`);
      tree.write('sticky/package.json', '{"name":"evil","exports":"./evil.js"}');
      tree.write('sticky/evil.js', tree.trap.commonJs);
      fs.chmodSync(tree.at('sticky'), 0o1777);
      return 'sticky/d/h.js';
    },
  },
  {
    sentence: 'H4',
    name: "a link of somebody else's in root's directory",
    says: /link\.mjs is a link that does not belong/,
    make: (tree) => {
      tree.write('h.mjs', tree.trap.module);
      fs.symlinkSync('h.mjs', tree.at('link.mjs'));
      tree.give('link.mjs');
      return 'link.mjs';
    },
  },
  {
    sentence: 'H4',
    name: "root's link through somebody else's directory",
    says: /theirs does not belong/,
    make: (tree) => {
      tree.write('good/h.mjs', tree.trap.module);
      fs.mkdirSync(tree.at('theirs'));
      fs.symlinkSync('../good', tree.at('theirs/l'));
      tree.give('theirs');
      fs.symlinkSync('theirs/l/h.mjs', tree.at('link.mjs'));
      return 'link.mjs';
    },
  },
  {
    sentence: 'H4',
    name: "root's own links",
    says: null,
    make: (tree) => {
      tree.write('good/h.mjs', PASS);
      fs.symlinkSync('good', tree.at('l'));
      fs.symlinkSync(tree.at('l/h.mjs'), tree.at('link.mjs'));
      return 'link.mjs';
    },
  },
  ...(
    [
      ['helper.js', `require('./helper');`, 'an ending that is left out'],
      ['helper.ts', `require('./helper');`, 'an ending that is left out, of TypeScript'],
      ['part/index.js', `require('./part');`, 'the index of a directory'],
      ['node_modules/single.js', `require('single');`, 'a module that is no package'],
      ['node_modules/dep/a.js', `require('dep');`, "a package's main", '{"main":"./a"}'],
      [
        'node_modules/dep/a.js',
        `require('dep/part/x');`,
        "a package's exports",
        '{"exports":{"./part/*":{"import":"./b.js","default":["./*.js","./a.js"]}}}',
      ],
      ['helper.mjs', `import 'data:text/javascript,import "file://HERE/helper.mjs"';`, 'an import in a data: URL'],
      ['helper.mjs', `import './hel%70er.mjs';`, 'a name with a percent sign'],
      ['node_modules/dep/a.mjs', `import 'dep';`, "a package's exports, imported", '{"exports":"./a.mjs"}'],
    ] as const
  ).map(([link, asks, what, description]) => ({
    sentence: 'H4',
    name: `a helper behind such a link: ${what}`,
    says: new RegExp(`theirs ${FOREIGN}`),
    make: (tree: Tree): string => {
      turnable(tree, link);
      if (description) tree.write('node_modules/dep/package.json', description);
      const hook = asks.startsWith('import') ? 'h.mjs' : 'h.ts';
      tree.write(
        hook,
        `${asks.replace('HERE', tree.root)} ${hook === 'h.mjs' ? PASS : `module.exports = () => 'pass';`}`,
      );
      return hook;
    },
  })),
  ...(['ts', 'mjs', 'cjs', 'js', 'json'] as const).map((ending) => ({
    sentence: 'H5',
    name: `a helper file that others can write: .${ending}`,
    says: new RegExp(`helper\\.${ending} ${WRITABLE}`),
    make: (tree: Tree): string => {
      const esm = ending === 'mjs';
      tree.write(`helper.${ending}`, ending === 'json' ? '{}' : esm ? tree.trap.module : tree.trap.commonJs);
      fs.chmodSync(tree.at(`helper.${ending}`), 0o646);
      const hook = esm ? 'h.mjs' : ending === 'ts' || ending === 'json' ? 'h.ts' : 'h.cjs';
      tree.write(
        hook,
        hook === 'h.cjs'
          ? `require('./helper.${ending}'); module.exports = () => 'pass';`
          : `import './helper${ending === 'ts' ? '' : `.${ending}`}'; ${PASS}`,
      );
      return hook;
    },
  })),
  {
    sentence: 'H5',
    name: 'a helper of a helper, through createRequire in an ES module',
    says: /deep\.cjs does not belong/,
    make: (tree) => {
      tree.write('deep.cjs', tree.trap.commonJs);
      tree.give('deep.cjs');
      tree.write('near.cjs', `require('./deep.cjs');`);
      tree.write(
        'h.mjs',
        `import { createRequire } from 'node:module'; createRequire(import.meta.url)('./near.cjs'); ${PASS}`,
      );
      return 'h.mjs';
    },
  },
  {
    sentence: 'H5',
    name: 'a dynamic import of a file somewhere else',
    says: /elsewhere does not belong/,
    make: (tree) => {
      tree.write('elsewhere/x.mjs', tree.trap.module);
      tree.give('elsewhere');
      tree.write('h.mjs', `await import(${JSON.stringify(tree.at('elsewhere/x.mjs'))}); ${PASS}`);
      return 'h.mjs';
    },
  },
  {
    sentence: 'H5',
    name: 'good helpers of every kind',
    says: null,
    make: (tree) => {
      tree.write('a.cjs', 'exports.a = 1;');
      tree.write('b.mjs', 'export const b = 2;');
      tree.write('node_modules/@scope/dep/package.json', '{"name":"@scope/dep","exports":{"./part":"./part.js"}}');
      tree.write('node_modules/@scope/dep/part.js', 'module.exports = require("./c.json").c;');
      tree.write('node_modules/@scope/dep/c.json', '{"c":3}');
      tree.write(
        'h.mjs',
        `import a from './a.cjs'; import { b } from './b.mjs'; import c from '@scope/dep/part'; import { udp } from 'vnet-bpf/hooks'; if (a.a + b + c !== 6 || !udp) throw new Error('not these'); ${PASS}`,
      );
      return 'h.mjs';
    },
  },
  {
    sentence: 'H6',
    name: 'a package of somebody else',
    says: /dep does not belong/,
    make: (tree) => {
      tree.write('node_modules/dep/package.json', '{"name":"dep","main":"../../../mine.cjs"}');
      tree.write('mine.cjs', tree.trap.commonJs);
      tree.give('node_modules/dep');
      tree.write('d/h.ts', `import 'dep'; ${PASS}`);
      return 'd/h.ts';
    },
  },
  {
    sentence: 'H6',
    name: "a package's package.json that others can write",
    says: /dep\/package\.json can be written/,
    make: (tree) => {
      tree.write('node_modules/dep/package.json', '{"name":"dep","main":"x.js"}');
      tree.write('node_modules/dep/x.js', tree.trap.commonJs);
      fs.chmodSync(tree.at('node_modules/dep/package.json'), 0o666);
      tree.write('h.mjs', `import 'dep'; ${PASS}`);
      return 'h.mjs';
    },
  },
  ...(['h.ts', 'h.js', 'h.mjs'] as const).map((hook) => ({
    sentence: 'H6',
    name: `a package.json of somebody else above ${hook}`,
    says: new RegExp(`up/package\\.json ${FOREIGN}`),
    make: (tree: Tree): string => {
      tree.write('up/package.json', '{"type":"module","imports":{"#x":"./x.js"}}');
      tree.give('up/package.json');
      tree.write(`up/d/${hook}`, PASS);
      return `up/d/${hook}`;
    },
  })),
  ...(['h.ts', 'h.mjs', 'h.cjs'] as const).map((hook) => ({
    sentence: 'H6',
    name: `a package of somebody else that imports of ${hook}'s own package.json lead to`,
    says: /dep does not belong/,
    make: (tree: Tree): string => {
      tree.write('package.json', '{"imports":{"#x/*":{"node":"dep/*"}}}');
      tree.write('node_modules/dep/package.json', '{"name":"dep"}');
      tree.write('node_modules/dep/part/package.json', '{"main":"../../../mine.cjs"}');
      tree.write('mine.cjs', tree.trap.commonJs);
      tree.give('node_modules/dep');
      tree.write(
        hook,
        hook === 'h.cjs'
          ? `require('#x/part'); module.exports = () => 'pass';`
          : `import '#x/part${hook === 'h.mjs' ? '/../../../mine.cjs' : ''}'; ${PASS}`,
      );
      return hook;
    },
  })),
  {
    sentence: 'H7',
    name: "somebody else's tsconfig.json beside it, which says other things",
    says: null,
    make: (tree) => {
      tree.write(
        'tsconfig.json',
        '{"ts-node":{"compiler":"evil","require":["./evil.js"]},"compilerOptions":{"module":"ESNext"}}',
      );
      tree.write('evil.js', tree.trap.commonJs);
      tree.give('tsconfig.json');
      tree.write('h.ts', `import { udp } from 'vnet-bpf/hooks'; export default (): 'pass' => (udp ? 'pass' : 'pass');`);
      return 'h.ts';
    },
  },
];

async function put(t: Test, netns: string, file: string): Promise<string | null> {
  using client = await ControlClient.connect(controlSocket(attachmentOf({ netns, iface: 'vnet0' }).id));
  try {
    await client.ask({ order: 'hook', file, onError: 'pass' }, 60_000 * SLOW);
    return null;
  } catch (error) {
    if (!(error instanceof VnetError)) throw error;
    t.equal(error.code, 'HOOK');
    return error.message;
  }
}

t.test("a hook and everything that it loads is root's alone, or refused", { skip: cannotRun }, async (t) => {
  const trapIn = hookDirectory(t);
  const before = path.join(hookDirectory(t), 'before.cjs');
  fs.writeFileSync(before, `module.exports = () => 'pass';`);
  const netns = quietNetns(t);
  attachedIn(t, netns, ['--hook', before]);
  for (const { sentence, name, make, says } of CASES) {
    const tree = new Tree(hookDirectory(t), trapIn);
    const hook = tree.at(make(tree));
    const said = await put(t, netns, hook);
    if (says === null) {
      t.equal(said, null, `${sentence}: ${name}: loaded`);
      t.equal(await put(t, netns, before), null);
    } else {
      t.match(said, says, `${sentence}: ${name}: refused`);
      t.match(said, /and a hook runs with the rights of root/);
      t.equal(listed(netns, 'vnet0')?.hook, before, `H8: ${name}: the hook before stays`);
    }
    t.same(tree.trap.sprung(), [], `${name}: nothing of somebody else's has run`);
  }
});

t.test(
  'R6: the compiler comes from the installation, whatever directory one is in and whatever variables say',
  { skip: cannotRun },
  async (t) => {
    const directory = hookDirectory(t);
    const trap = new Trap(directory);
    const theirs = path.join(directory, 'theirs');
    for (const name of ['typescript', 'ts-node', 'koffi', 'yargs']) {
      fs.mkdirSync(path.join(theirs, 'node_modules', name), { recursive: true });
      fs.writeFileSync(path.join(theirs, 'node_modules', name, 'index.js'), trap.commonJs);
    }
    fs.writeFileSync(path.join(theirs, 'evil.js'), trap.commonJs);
    fs.writeFileSync(path.join(theirs, 'tsconfig.json'), '{"ts-node":{"require":["./evil.js"]}}');
    const home = path.join(directory, 'root');
    fs.mkdirSync(path.join(home, 'etc'), { recursive: true });
    // A file that any user could have put above the hook's directory.
    fs.mkdirSync(path.join(home, 'node_modules'));
    fs.symlinkSync(path.join(theirs, 'node_modules', 'typescript'), path.join(home, 'node_modules', 'typescript'));
    const hook = path.join(home, 'etc', 'h.ts');
    fs.writeFileSync(hook, `export default (): 'pass' => 'pass';`);
    const variables = {
      TS_NODE_COMPILER: path.join(theirs, 'evil.js'),
      TS_NODE_PROJECT: path.join(theirs, 'tsconfig.json'),
      TS_NODE_CWD: theirs,
      TS_NODE_COMPILER_OPTIONS: '{"module":"ESNext"}',
      TS_NODE_IGNORE: '.*',
      TS_NODE_TYPE_CHECK: 'true',
      TS_ETW_MODULE_PATH: path.join(theirs, 'evil.js'),
    };
    const [program, ...plain] = PLAIN;
    for (const more of [{}, variables]) {
      const { status, stderr } = run(
        program,
        [...plain, 'run', '--hook', hook, '--stats', '/dev/null', '--', '/bin/true'],
        { cwd: theirs, env: { ...process.env, ...more } },
      );
      t.equal(status, 0, stderr);
      t.same(trap.sprung(), [], `nothing of somebody else's has run, with ${Object.keys(more).length} variables`);
    }
  },
);

t.test('H6: nor a package of somebody else in ~/.node_modules', { skip: cannotRun }, async (t) => {
  const directory = hookDirectory(t);
  const trap = new Trap(directory);
  const home = path.join(directory, 'home');
  fs.mkdirSync(path.join(home, '.node_modules', 'dep'), { recursive: true });
  fs.writeFileSync(path.join(directory, 'mine.js'), trap.commonJs);
  fs.writeFileSync(path.join(home, '.node_modules', 'dep', 'package.json'), '{"main":"../../../mine.js"}');
  fs.chownSync(home, SOMEBODY, SOMEBODY);
  const hook = path.join(directory, 'h.cjs');
  fs.writeFileSync(hook, `require('dep'); module.exports = () => 'pass';`);
  const [program, ...plain] = PLAIN;
  const { status, stderr } = run(
    program,
    [...plain, 'run', '--hook', hook, '--stats', '/dev/null', '--', '/bin/true'],
    { env: { ...process.env, HOME: home } },
  );
  t.match({ status, stderr }, { status: 1, stderr: /home does not belong to root/ });
  t.same(trap.sprung(), []);
});

t.test('H1: a hook has the rights of root', { skip: cannotRun }, async (t) => {
  const directory = hookDirectory(t);
  const netns = quietNetns(t);
  const seen = path.join(directory, 'seen');
  fs.writeFileSync(
    path.join(directory, 'h.mjs'),
    `import fs from 'node:fs'; fs.writeFileSync(${JSON.stringify(seen)}, String(process.geteuid())); ${PASS}`,
  );
  attachedIn(t, netns, ['--hook', path.join(directory, 'h.mjs')]);
  t.equal(fs.readFileSync(seen, 'utf8'), '0');
});
