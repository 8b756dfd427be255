// SPDX-License-Identifier: MIT
/** What is missing is named: libbpf itself, and the capability. No kernel differs there. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { skipUnlessRoot } from './helpers/machine';

/** How a script loads the package: through ts-node, or compiled as this file is. */
const load = `const load = () => {
  ${__filename.endsWith('.ts') ? "require('ts-node/register/transpile-only');" : ''}
  return require(${JSON.stringify(join(__dirname, '..', 'src', 'index'))});
};`;

t.test('a missing library is a typed error', async (t) => {
  const script = `${load}
    const { libbpfVersion } = load();
    try { libbpfVersion(); } catch (error) { console.log(error.name, error.code, error.message); }
    try { libbpfVersion(); } catch (error) { console.log(error.code); }`;
  const env = { ...process.env, LIBBPF_TS_LIBRARY: '/nonexistent/libbpf.so', NODE_OPTIONS: '' };
  const output = execFileSync(process.execPath, ['-e', script], { env, encoding: 'utf8', cwd: __dirname });
  t.match(output, /^LibraryError LIBBPF_MISSING cannot load \/nonexistent\/libbpf\.so .*libbpf1.*\nLIBBPF_MISSING\n$/s);
});

t.test('a missing capability is named', { skip: skipUnlessRoot }, async (t) => {
  const script = `${load}
    const { BpfMap } = load();
    try {
      BpfMap.create({ type: 1, keySize: 4, valueSize: 4, maxEntries: 1 });
      console.log('created');
    } catch (error) { console.log(error.code, error.errnoName, error.message); }`;
  const drop = ['--bounding-set', '-bpf,-sys_admin', '--inh-caps', '-bpf,-sys_admin', process.execPath, '-e', script];
  const output = execFileSync('setpriv', drop, {
    encoding: 'utf8',
    cwd: __dirname,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const unprivileged = readFileSync('/proc/sys/kernel/unprivileged_bpf_disabled', 'latin1').trim();
  // A hash needs CAP_BPF on every kernel; where unprivileged bpf(2) is off, so does everything else.
  if (output.startsWith('created')) t.equal(unprivileged, '0');
  else t.match(output, /^BPF_PERMISSION EPERM .*lacks CAP_BPF/);
});
