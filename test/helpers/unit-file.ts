// SPDX-License-Identifier: MIT
/** The little of systemd.unit(5) and systemd.exec(5) that our own unit uses. */
import * as fs from 'node:fs';

/** Parses name=value lines; a name that occurs again adds to its earlier value. */
export function readAssignments(file: string): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
    const match = /^([A-Za-z_]+)=(.*)$/.exec(line);
    if (match) values.set(match[1] as string, [...(values.get(match[1] as string) ?? []), match[2] as string]);
  }
  return values;
}

/** Parses the file of an EnvironmentFile=. */
export function readEnvironment(file: string): Record<string, string> {
  const unquoted = (text: string): string => text.replace(/^(["'])(.*)\1$/, '$2');
  return Object.fromEntries([...readAssignments(file)].map(([name, values]) => [name, unquoted(values.at(-1) ?? '')]));
}

/** Expands a command line: %i is the instance, and a word $NAME is split at blanks. */
export function commandLine(text: string, instance: string, environment: Readonly<Record<string, string>>): string[] {
  return text.split(/\s+/).flatMap((word) => {
    if (!word.startsWith('$')) return [word.replaceAll('%i', instance)];
    return (environment[word.slice(1)] ?? '').split(/\s+/).filter(Boolean);
  });
}

/** `name` and `limit` of a capability set in the syntax of setpriv(1). */
export const boundingSet = (names: string): string =>
  ['-all', ...names.split(/\s+/).map((name) => `+${name.toLowerCase().replace(/^cap_/, '')}`)].join();
