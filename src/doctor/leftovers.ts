// SPDX-License-Identifier: MIT
/** Looks for what controllers that were killed have left: attachments, and pins that no attachment knows. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { commandAbout, commandFor, named } from '../state/named';
import { pinDirectory } from '../state/bpffs';
import { allAttachments, brokenAttachments, isControlled, type Attachment, type BrokenAttachment } from '../state/store';
import { attempt, cannotCheck, isRoot, ok, warn, type Check } from './check';

function crashed(attachment: Attachment): Check {
  const { iface, netns, pid } = attachment;
  return warn(
    'leftovers',
    `the controller of ${named(iface, netns.name)}, process ${pid}, has ended without detaching`,
    `${commandAbout('attach', attachment)} takes over, ${commandAbout('detach', attachment)} removes it`,
  );
}

const damaged = ({ id, why }: BrokenAttachment): Check => warn('leftovers', why, `vnet-bpf list tells which interface that is, ${commandFor('detach', id, null)} removes it`);

function strayPins(known: readonly (Attachment | BrokenAttachment)[]): Check[] {
  const pins = path.dirname(pinDirectory('x'));
  if (!fs.existsSync(pins)) return [];
  const ids = new Set(known.map(({ id }) => id));
  return fs
    .readdirSync(pins)
    .filter((name) => !ids.has(name))
    .map((name) => warn('leftovers', `BPF pins that belong to no attachment: ${name}`, `as root: rm -r ${path.join(pins, name)}`));
}

export function leftoverChecks(): Check[] {
  if (!isRoot()) return [cannotCheck('leftovers')];
  let running = 0;
  const found: Check[] = [];
  const state = attempt('attachments', 'the error says which file; vnet-bpf detach --all removes the rest', () => {
    const all = allAttachments();
    for (const attachment of all) {
      if (isControlled(attachment)) running++;
      else found.push(crashed(attachment));
    }
    const broken = brokenAttachments();
    found.push(...broken.map(damaged), ...strayPins([...all, ...broken]));
    return ok('attachments', running === 0 ? 'nothing is attached' : `${running} running`);
  });
  return [state, ...(found.length > 0 || state.status !== 'ok' ? found : [ok('leftovers', 'none')])];
}
