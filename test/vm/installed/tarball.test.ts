// SPDX-License-Identifier: MIT
/** The packed tarballs, installed in the guest by installed-part.ts. */
import t from 'tap';

import { SLOW } from '../../helpers/cli';
import { installedWorks } from '../../helpers/installed';
import { cannotLoop } from '../../helpers/supported';

t.setTimeout(60_000 * SLOW);

t.test('the installed tarballs', { skip: cannotLoop() }, async (t) => {
  await installedWorks(t, {
    bin: '/usr/local/bin/vnet-bpf',
    root: '/usr/local/lib/node_modules/vnet-bpf',
    libbpf: '/usr/local/bin/libbpf-ts',
  });
});
