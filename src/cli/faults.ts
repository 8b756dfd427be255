// SPDX-License-Identifier: MIT
/** `vnet-bpf faults`: puts rules in place while traffic flows, shows what they have done, or removes them. */
import { ControlClient } from '../control/socket';
import { commandFor, usageError } from '../errors';
import { readLog } from '../faults/log-writer';
import { readWish } from '../faults/source';
import { EXAMPLE, effectHelp, type HelpRow, matchHelp } from '../faults/words';
import type { FaultsReport } from '../hooks/fault-hook';
import { requireAttachment } from '../lifecycle/find-attachment';
import { absolutePath } from '../native/inherited';
import { ATTACH_OPTIONS } from '../options/attach-options';
import { checkInterfaceName, checkNetnsName, onCommandLine } from '../options/values';
import { requirePrivileges } from '../requirements';
import { type Attachment, controlSocket, faultLogFiles } from '../state/store';
import { print, printJson, table, tell } from '../terminal/output';

interface FaultsArguments {
  iface: string | undefined;
  rules: string[] | undefined;
  netns: string | undefined;
  seed: string | undefined;
  show: boolean;
  log: boolean;
  clear: boolean;
  words: boolean;
  json: boolean;
}

/** Timeout in milliseconds: compiling a module may take a long time, and so may looking up names in filters. */
const TIMEOUT_MS = 60_000;

export async function faultsCommand(args: FaultsArguments): Promise<void> {
  const { iface, show, log, clear, words, json } = args;
  if (words) return print(...wordsText());
  if (iface === undefined)
    throw usageError(
      'faults',
      '<iface> is missing',
      `vnet-bpf faults vnet0 '${EXAMPLE}'; vnet-bpf faults --words lists the words`,
    );
  checkInterfaceName(iface);
  const netns = args.netns === undefined ? null : checkNetnsName(args.netns);
  const text = (args.rules ?? []).join(' ');
  if ([text !== '', show, log, clear].filter(Boolean).length !== 1) {
    throw usageError(
      `faults ${iface}`,
      'give rules, or --show, --log or --clear',
      `${commandFor('faults', iface, netns)} '${EXAMPLE}'; vnet-bpf faults --words lists the words`,
    );
  }
  if (json && !show)
    throw usageError('--json', 'goes with --show', 'add --show, or leave --json out; --log prints JSON anyway');
  if (args.seed !== undefined && text === '')
    throw usageError(
      `--seed ${args.seed}`,
      'goes with rules',
      `${commandFor('faults', iface, netns)} '${EXAMPLE}' --seed 7`,
    );
  const seed = args.seed === undefined ? null : ATTACH_OPTIONS.seed.read(args.seed, onCommandLine('seed', args.seed));
  const wish = text === '' ? null : readWish(text, seed, absolutePath);
  requirePrivileges();
  const attachment = requireAttachment(iface, netns);
  using client = await ControlClient.connect(controlSocket(attachment.id));
  if (show || log) {
    const report = (await client.ask({ order: 'faults-report' }, TIMEOUT_MS)) as FaultsReport | null;
    return log ? print(...readLog(faultLogFiles(attachment.id))) : showReport(attachment, report, json);
  }
  await client.ask({ order: 'faults', document: null, file: null, seed: null, ...wish }, TIMEOUT_MS);
  tell(
    wish === null
      ? `${attachment.iface} has no faults`
      : `${attachment.iface} has faults: ${commandFor('faults', attachment.iface, netns, '--show')} shows what they do`,
  );
}

function showReport({ iface, netns }: Attachment, report: FaultsReport | null, json: boolean): void {
  if (json)
    return printJson({
      interface: iface,
      netns: netns.name,
      seed: report?.seed ?? null,
      rules: report?.rules ?? [],
      missed: report?.missed ?? 0,
    });
  print(...reportLines(iface, report));
}

/** What the rules are, and what they have done. */
export function reportLines(iface: string, report: FaultsReport | null): string[] {
  if (report === null) return [`${iface} has no faults`];
  const rows = report.rules.map(({ id, text, matched, applied }) => [
    String(id),
    String(matched),
    String(applied),
    text,
  ]);
  return [`${iface} has faults, with the seed ${report.seed}`, ...table([['RULE', 'MATCHED', 'APPLIED', ''], ...rows])];
}

function wordsText(): string[] {
  const listed = (rows: readonly HelpRow[]): string[] =>
    rows.flatMap(({ form, help }) => [`  ${form}`, `      ${help}`]);
  return [
    'Which frames, before the colon:',
    '',
    ...listed(matchHelp()),
    '',
    'What happens to them, after the colon:',
    '',
    ...listed(effectHelp()),
    '',
    `Example: ${EXAMPLE}`,
  ];
}
