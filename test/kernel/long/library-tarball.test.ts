// SPDX-License-Identifier: MIT
/**
 * The packed tarball, installed: the library in a plain ESM and a plain CommonJS project, with its types, and the
 * command.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { build } from 'esbuild';
import t from 'tap';
import * as ts from 'typescript';

import { productionOf, type Lock } from '../../../src/setup/published';
import { cannotRun, ROOT, SLOW } from '../../helpers/cli';
import { installedWorks } from '../../helpers/installed';
import { ok, quietNetns, run } from '../../helpers/netns';
import { installTarball } from '../../helpers/tarball';
import { withoutTools } from '../../helpers/traffic';

t.setTimeout(300_000 * SLOW);

/** Everything that the library promises, once; the last line says what happened. */
const PROGRAM = `
  const seen = [];
  const abort = new AbortController();
  const nic = await attach('vnet0', { netns: process.argv[2], addresses: ['10.77.0.1/24'], hook, metrics: '127.0.0.1:0', signal: abort.signal });
  nic.on('hookError', (text) => seen.push(text.includes('hook.ts:') ? 'hookError' : text));
  nic.on('detached', () => seen.push('detached'));
  const { status } = spawnSync('nsenter', ['--net=/run/netns/' + process.argv[2], '--', 'ping', '-c', '2', '-i', '0.1', '-W', '5', '10.77.0.1']);
  await nic.inject(ethernet({ source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' }, ipv4({ source: '10.0.0.1', destination: '10.0.0.2' }, udp({ sourcePort: 1, destinationPort: 2 }))));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const { hooks } = nic.stats();
  const metrics = /^vnet_bpf_injected_packets_total\\{interface="vnet0".* 1$/m.test(await (await fetch(nic.metrics)).text());
  const again = await attach('vnet0', { netns: process.argv[2] }).catch((error) => error instanceof VnetError && error.code);
  await nic.hook(null);
  await nic.faults(defineFaults([{ match: { filter: 'icmp', nth: [2] }, effects: [{ kind: 'drop' }] }, 'udp: delay 5ms']), { seed: 7 });
  const faults = [(await nic.faultsReport()).rules.map(({ text }) => text), parseRules('tcp: drop').map(ruleText)];
  abort.abort();
  await new Promise((resolve) => nic.once('detached', resolve));
  const gone = await fetch(nic.metrics).then(() => false, () => true);
  const wrong = await Promise.all([{ mtu: 5 }, { metrics: 'localhost:1' }].map((options) => attach('vnet0', options).catch((error) => error.code)));
  console.log(JSON.stringify({ status, faults, hooks, metrics, gone, seen: [...new Set(seen)], again, wrong, law: law(nic.stats()).balanced }));
`;

const ESM = `
import { spawnSync } from 'node:child_process';
import { attach, law, VnetError } from 'vnet-bpf';
import { defineFaults, parseRules, ruleText } from 'vnet-bpf/faults';
import { ethernet, ipv4, udp } from 'vnet-bpf/hooks';
import { Lab } from 'vnet-bpf/testing';
if (typeof Lab.create !== 'function') throw new Error('no fixture');
const hook = new URL('./hook.ts', import.meta.url);
${PROGRAM}`;

const CJS = `
const { spawnSync } = require('node:child_process');
const { attach, law, VnetError } = require('vnet-bpf');
const { defineFaults, parseRules, ruleText } = require('vnet-bpf/faults');
const { ethernet, ipv4, udp } = require('vnet-bpf/hooks');
if (typeof require('vnet-bpf/testing').Lab.create !== 'function') throw new Error('no fixture');
const hook = require('node:path').join(__dirname, 'hook.ts');
(async () => {${PROGRAM}})();`;

const HOOK = `import { type Hook, PROTOCOL } from 'vnet-bpf/hooks';

const hook: Hook = {
  frame(frame) {
    if (frame.ip?.protocol === PROTOCOL.icmp) throw new Error('on purpose');
  },
};
export default hook;
`;

const TYPED = `import { attach, type Nic, type NicOptions } from 'vnet-bpf';
import { defineFaults, type RulesInput } from 'vnet-bpf/faults';
import type { Frame, Hook } from 'vnet-bpf/hooks';
import { Lab } from 'vnet-bpf/testing';

const options: NicOptions = { addresses: ['10.0.0.1/24'], whenFull: 'hold', onHookError: 'drop' };
const rules: RulesInput = defineFaults([{ match: { test: (frame) => frame.udp !== null, nth: [2] }, effects: [{ kind: 'cut', ms: 5 }] }, 'tcp: drop']);
// @ts-expect-error there is no such effect
defineFaults([{ effects: [{ kind: 'dorp' }] }]);
export async function use(): Promise<number> {
  await using nic: Nic = await attach('vnet0', options);
  nic.on('stopped', ({ times }) => console.log(times.toFixed()));
  nic.on('refused', ({ reason, frames }) => console.log(reason.length, frames.toFixed()));
  // @ts-expect-error there is no such event
  nic.on('exploded', () => undefined);
  // @ts-expect-error hold or drop
  await attach('vnet0', { whenFull: 'maybe' });
  await using lab = await Lab.create(options);
  const frame: Frame = await lab.expect({ udp: { destinationPort: 53, payload: Uint8Array.of(1) }, ipv4: { source: /^10/ } });
  // @ts-expect-error a port is a number
  await lab.expect({ udp: { destinationPort: '53' } });
  return nic.stats().rx.packets + frame.length;
}
export const hook: Hook = { frame: (frame) => (frame.tcp?.syn ? 'drop' : 'pass') };
`;

t.test('npm pack, npm install', { skip: cannotRun || withoutTools('npm') }, async (t) => {
  const { prefix, root, bin, bytes } = installTarball(t);
  // Projects beside node_modules/vnet-bpf find it as if it were their own.
  const directory = path.join(prefix, 'lib');
  const write = (name: string, content: string): void => {
    fs.mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    fs.writeFileSync(path.join(directory, name), content);
  };

  t.test('what is installed', async (t) => {
    const says = /Installed, it takes some (\d+) MB/.exec(fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8'))?.[1];
    t.ok(
      Math.abs(Number(says) / (bytes / 1e6) - 1) < 0.2,
      `the README says ${says} MB, it is ${(bytes / 1e6).toFixed(1)} MB`,
    );
    const has = (name: string): boolean => fs.existsSync(path.join(root, name));
    t.same(
      [
        'bpf/vnet.bpf.c',
        'bpf/LICENSE',
        'LICENSE',
        'docs/cli.md',
        'docs/systemd/vnet-bpf@.service',
        'dist/completion/vnet-bpf.bash',
        'node_modules/libbpf-ts/LICENSE',
        'docs/grafana.json',
        'src/examples/chaos.ts',
        'src/libbpf-ts/README.md',
      ].filter((name) => !has(name)),
      [],
      'the source that the GPL asks for, licences and documents',
    );
    t.ok(
      fs.existsSync(path.join(prefix, 'share', 'man', 'man1', 'vnet-bpf.1')),
      'the manual is where man looks for it',
    );
    t.same(
      ['src/index.ts', 'test', 'dist/cli/main.js.map', 'node_modules/libbpf-ts/src'].filter(has),
      [],
      'and nothing that only developers need',
    );
  });

  t.test('the very packages of the lock file, without a script at installation', async (t) => {
    const lock = JSON.parse(fs.readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8')) as Lock;
    const locked = new Map(
      productionOf(lock).map(([place, { version }]) => [place.split('node_modules/').at(-1), version]),
    );
    const modules = path.join(root, 'node_modules');
    const names = fs
      .readdirSync(modules)
      .filter((name) => !name.startsWith('.'))
      .flatMap((name) =>
        name.startsWith('@') ? fs.readdirSync(path.join(modules, name)).map((each) => `${name}/${each}`) : [name],
      );
    t.same(
      names.filter((name) => !name.startsWith('@koromix/')).sort(),
      ['koffi', 'libbpf-ts', 'typescript', 'ws'],
      `${names.length} packages: ${names.join(', ')}`,
    );
    for (const name of names) {
      const { version, scripts = {} } = JSON.parse(
        fs.readFileSync(path.join(modules, name, 'package.json'), 'utf8'),
      ) as { version: string; scripts?: Record<string, string> };
      t.equal(version, locked.get(name) ?? lock.packages[`src/${name}`]?.version, `${name} ${version}`);
      t.same(
        Object.keys(scripts).filter((script) => ['preinstall', 'install', 'postinstall'].includes(script)),
        [],
        `${name} runs nothing`,
      );
    }
  });

  t.test('the commands, where there are neither sources nor a compiler', async (t) => {
    await installedWorks(t, { bin, root, libbpf: path.join(prefix, 'bin', 'libbpf-ts') });
  });

  const expected = {
    status: 0,
    faults: [['icmp nth 2: drop', 'udp: delay 5ms'], ['tcp: drop']],
    hooks: { dropped: 0, injected: 1, errors: 4, delayed: 0, waiting: 0, lost: 0 },
    seen: ['hookError', 'detached'],
    metrics: true,
    gone: true,
    again: 'ALREADY_ATTACHED',
    wrong: ['USAGE', 'USAGE'],
    law: true,
  };
  for (const [kind, file, source] of [
    ['module', 'esm/main.js', ESM],
    ['commonjs', 'cjs/main.js', CJS],
  ] as const) {
    t.test(kind, async (t) => {
      write(path.join(path.dirname(file), 'package.json'), JSON.stringify({ type: kind }));
      write(path.join(path.dirname(file), 'hook.ts'), HOOK);
      write(file, source);
      const output = ok(process.execPath, [path.join(directory, file), quietNetns(t)], {
        cwd: '/',
        env: { ...process.env, NODE_OPTIONS: '' },
      });
      t.same(JSON.parse(output.trim().split('\n').at(-1) ?? ''), expected);
    });
  }

  t.test('types, as each module resolution finds them, with the oldest and the newest of Node', async (t) => {
    // The newest @types/node lets an emitter of typed events take others, too.
    const use = TYPED.replace(/.*no such event\n.*\n/, '');
    write('types/events.mts', TYPED);
    for (const ending of ['mts', 'cts', 'ts']) write(`types/use.${ending}`, use);
    for (const [name, version] of [
      ['oldest', 'node'],
      ['newest', 'node-newest'],
    ] as const) {
      fs.mkdirSync(path.join(directory, 'types', name));
      fs.symlinkSync(path.join(ROOT, 'node_modules', '@types', version), path.join(directory, 'types', name, 'node'));
    }
    const { Node16, NodeNext, ESNext, CommonJS } = ts.ModuleKind;
    // TypeScript's own files are parsed once.
    const host = ts.createCompilerHost({ target: ts.ScriptTarget.ES2022 });
    const libraries = new Map<string, ts.SourceFile | undefined>();
    const { getSourceFile } = host;
    host.getSourceFile = (name, ...rest) => {
      if (!name.startsWith(path.dirname(ts.getDefaultLibFilePath({})))) return getSourceFile.call(host, name, ...rest);
      if (!libraries.has(name)) libraries.set(name, getSourceFile.call(host, name, ...rest));
      return libraries.get(name);
    };
    for (const [types, module, moduleResolution, files] of [
      ['oldest', Node16, ts.ModuleResolutionKind.Node16, ['events.mts', 'use.cts']],
      ['newest', NodeNext, ts.ModuleResolutionKind.NodeNext, ['use.mts']],
      ['newest', ESNext, ts.ModuleResolutionKind.Bundler, ['use.ts']],
      ['newest', CommonJS, ts.ModuleResolutionKind.Node10, ['use.ts']],
    ] as const) {
      const options = {
        module,
        moduleResolution,
        strict: true,
        noEmit: true,
        target: ts.ScriptTarget.ES2022,
        lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts'],
        skipLibCheck: false,
        types: ['node'],
        typeRoots: [path.join(directory, 'types', types)],
      };
      const program = ts.createProgram(
        files.map((file) => path.join(directory, 'types', file)),
        options,
        host,
      );
      // What is ours, and what uses it: not what TypeScript and Node bring.
      const ours = program
        .getSourceFiles()
        .filter(({ fileName }) => fileName.startsWith(directory) && !fileName.includes('/@types/'));
      t.ok(
        ours.some(({ fileName }) => fileName.endsWith('/dist/index.d.ts')),
        `${ours.length} files`,
      );
      const found = [
        ...program.getOptionsDiagnostics(),
        ...program.getGlobalDiagnostics(),
        ...ours.flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]),
      ];
      t.same(
        found.map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`),
        [],
        `${ts.ModuleResolutionKind[moduleResolution]}, ${types}`,
      );
    }
  });

  t.test('in a bundle one line says to leave it outside, and outside it works', async (t) => {
    write(
      'bundle/main.mjs',
      "import { attach } from 'vnet-bpf';\nattach('a/b').catch((error) => console.log(error.code));\n",
    );
    const main = path.join(directory, 'bundle', 'main.mjs');
    for (const [format, ending] of [
      ['cjs', 'cjs'],
      ['esm', 'mjs'],
    ] as const) {
      for (const external of [[], ['vnet-bpf']]) {
        const outfile = path.join(directory, 'bundle', `out.${ending}`);
        await build({
          entryPoints: [main],
          bundle: true,
          platform: 'node',
          format,
          external,
          outfile,
          logLevel: 'silent',
        });
        const { status, stdout, stderr } = run(process.execPath, [outfile], {
          env: { ...process.env, NODE_OPTIONS: '' },
        });
        if (external.length > 0)
          t.same({ status, stdout, stderr }, { status: 0, stdout: 'USAGE\n', stderr: '' }, `${format}, left outside`);
        else
          t.match(
            stderr,
            /VnetError: vnet-bpf: cannot be part of a bundle; leave it outside of it, as by esbuild --external:vnet-bpf$/m,
            format,
          );
      }
    }
  });

  t.test('without the optional part of koffi one line says what is missing', async (t) => {
    const part = path.join(root, 'node_modules', '@koromix');
    fs.renameSync(part, `${part}-away`);
    try {
      for (const args of [['list'], ['doctor']]) {
        const { status, stderr } = run(bin, args, { env: { ...process.env, NODE_OPTIONS: '' } });
        t.equal(status, 1);
        t.match(
          stderr,
          /^vnet-bpf: koffi: its part for linux on \w+ cannot be loaded \(.*\)\nhint: npm install without --omit=optional brings it\n$/,
        );
      }
    } finally {
      fs.renameSync(`${part}-away`, part);
    }
  });

  t.test('no path of whoever built it', async (t) => {
    const { stderr } = run(bin, ['stats', 'nope', '--debug'], { env: { ...process.env, NODE_OPTIONS: '' } });
    t.match(stderr, /^    at \w+ \((vnet-bpf\/|.*\/vnet-bpf\/)dist\/cli\/list-stats\.bundle\.js:\d+:\d+\)$/m);
    const files = fs
      .readdirSync(path.join(root, 'dist'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile());
    t.same(
      files
        .map((entry) => path.join(entry.parentPath, entry.name))
        .filter((file) => fs.readFileSync(file, 'latin1').includes(ROOT)),
      [],
    );
  });
});
