// SPDX-License-Identifier: MIT
/** Hints that name commands and what may have been meant. */
import t from 'tap';

import { commandFor, VnetError } from '../../src/errors';
import { checkedWords } from '../../src/impair/words';
import { whatIsAttached as hintFor } from '../../src/lifecycle/find-attachment';
import { parseCommand } from '../../src/step/debugger';

t.test('a command can be typed as it stands', async (t) => {
  t.equal(commandFor('detach', 'vnet0', null), 'vnet-bpf detach vnet0');
  t.equal(commandFor('attach', 'vnet0', 'lab', '--replace'), 'vnet-bpf attach vnet0 --netns lab --replace');
  t.equal(commandFor('detach', 'a$b', "it's mine"), "vnet-bpf detach 'a$b' --netns 'it'\\''s mine'");
});

t.test('an interface that was meant', async (t) => {
  const all = [
    { iface: 'vnet0', netns: { name: null } },
    { iface: 'vnet7', netns: { name: 'lab' } },
    { iface: 'wan', netns: { name: 'lab' } },
  ];
  const whatIsAttached = (
    iface: string,
    netns: string | null,
    attached: typeof all,
    file: string | null = null,
  ): string => hintFor(iface, netns, attached, () => file);
  const list = 'attached are: vnet0, vnet7 --netns lab, wan --netns lab';
  t.equal(whatIsAttached('vnet7', null, all), `did you mean vnet7 --netns lab? ${list}`, 'the same name, elsewhere');
  t.equal(whatIsAttached('vent0', null, all), `did you mean vnet0? ${list}`);
  t.equal(
    whatIsAttached('vnet8', 'lab', all),
    `did you mean vnet7 --netns lab? ${list}`,
    'rather one of that namespace',
  );
  t.equal(whatIsAttached('eth0.100', 'lab', all), list);
  const again = 'it is attached in another namespace: put nsenter --net=/proc/7/ns/net before the command';
  t.equal(whatIsAttached('vnet0', null, all, '/proc/7/ns/net'), again, 'not what has just failed');
  t.equal(whatIsAttached('wan', 'lab', all, '/proc/7/ns/net'), `${again}, without --netns`);
  t.match(whatIsAttached('vnet0', null, all), /in a namespace that is gone; vnet-bpf detach --all removes it/);
  t.equal(whatIsAttached('vnet0', 'lab', []), 'nothing is attached; vnet-bpf attach vnet0 --netns lab does it');
});

/** The hint of what is thrown. */
function hintOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return error instanceof VnetError ? error.hint : String(error);
  }
  return undefined;
}

t.test('words of other languages of ours', async (t) => {
  t.equal(
    hintOf(() => checkedWords('satelite')),
    'did you mean satellite?',
  );
  t.equal(
    hintOf(() => checkedWords('losy-wifi loss 2%')),
    'did you mean lossy-wifi?',
  );
  t.equal(
    hintOf(() => checkedWords('dealy 20ms')),
    'did you mean delay?',
  );
  t.equal(
    hintOf(() => checkedWords('delay 20ms 5ms distribution normla')),
    'did you mean normal?',
  );
  t.match(
    hintOf(() => checkedWords('frobnicate')),
    /delay TIME/,
  );
  t.equal(
    hintOf(() => parseCommand('inejct')),
    'did you mean inject?',
  );
  t.match(
    hintOf(() => parseCommand('frobnicate')),
    /^help/,
  );
});
