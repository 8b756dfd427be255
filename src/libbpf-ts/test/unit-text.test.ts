// SPDX-License-Identifier: MIT
// Small pure parsers: capabilities, CPU lists, kernel releases, errno names.
import t from 'tap';
import { missingCapabilities } from '../src/capabilities';
import { countCpus } from '../src/cpus';
import { errnoName, errnoText } from '../src/errno';
import { systemError, UnknownNameError } from '../src/errors';
import { parseRelease } from '../src/kernel';
import { checkLayout } from '../src/map-info';

t.test('capabilities that a status does not show', async (t) => {
  const status = (bits: string): string => `Name:\tx\nCapInh:\t0000000000000000\nCapEff:\t${bits}\nCapBnd:\t0\n`;
  const all = ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON'] as const;
  t.same(missingCapabilities(status('000001ffffffffff'), all), []);
  t.same(missingCapabilities(status('0000000000000000'), all), all);
  t.same(missingCapabilities(status('0000008000001000'), all), ['CAP_PERFMON']);
  t.same(missingCapabilities(status('0000000000200000'), all), ['CAP_NET_ADMIN'], 'CAP_SYS_ADMIN stands for the rest');
  t.same(missingCapabilities('nothing of the kind', all), [], 'no blame without evidence');
});

t.test('CPU lists', async (t) => {
  t.equal(countCpus('0\n'), 1);
  t.equal(countCpus('0-3\n'), 4);
  t.equal(countCpus('0-3,8,10-11'), 7);
});

t.test('kernel releases', async (t) => {
  t.match(parseRelease('6.1.0-18-amd64'), { major: 6, minor: 1, text: '6.1.0-18-amd64' });
  t.match(parseRelease('nonsense'), { major: 0, minor: 0 });
});

t.test('errno names, those of libbpf and ENOTSUPP included', async (t) => {
  t.equal(errnoName(2), 'ENOENT');
  t.equal(errnoText(2), 'no such file or directory');
  t.equal(errnoName(524), 'ENOTSUPP');
  t.equal(errnoName(4001), 'LIBBPF_ERRNO__FORMAT');
  t.equal(errnoName(9999), 'errno 9999');
});

t.test('errors', async (t) => {
  t.match(systemError('bpf(BPF_MAP_CREATE)', -22), {
    code: 'BPF_SYSCALL',
    errno: 22,
    errnoName: 'EINVAL',
    operation: 'bpf(BPF_MAP_CREATE)',
    message: 'bpf(BPF_MAP_CREATE): EINVAL (invalid argument)',
  });
  const unknown = new UnknownNameError('map', 'x', ['b', 'a']);
  t.equal(unknown.code, 'BPF_UNKNOWN_NAME');
  t.equal(unknown.message, 'no map is named "x"; there are: a, b');
  t.match(new UnknownNameError('map', 'x', []).message, /there is no map/);
});

t.test('every difference of a map is named', async (t) => {
  const info = { type: 1, id: 5, keySize: 4, valueSize: 8, maxEntries: 10, flags: 0, name: 'm' };
  checkLayout('m', info, { type: 1, keySize: 4 });
  t.throws(() => checkLayout('m', info, { type: 27, keySize: 4, maxEntries: 11 }), {
    code: 'BPF_MAP_INCOMPATIBLE',
    message: 'map m is not compatible: type is HASH, not RINGBUF, maxEntries is 10, not 11',
    differences: ['type is HASH, not RINGBUF', 'maxEntries is 10, not 11'],
  });
});
