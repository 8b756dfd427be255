// SPDX-License-Identifier: MIT
/** What the tests tell npm, to get the project as its users do: packed, then installed. */

/** Taken out of the environment by make; npm needs it. */
const CERTIFICATES = process.env['VNET_BPF_CERTIFICATES'] ?? process.env['NODE_EXTRA_CA_CERTS'];

export const npmEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  NODE_OPTIONS: '',
  NODE_EXTRA_CA_CERTS: CERTIFICATES,
});

/** Makes the tarballs of vnet-bpf and of libbpf-ts in a directory; from the root of the repository. */
export const packCommands = (destination: string): [string, string[]][] => [
  ['src/setup/pack.sh', [destination]],
  ['npm', ['pack', '--silent', '--workspaces', '--pack-destination', destination]],
];

/** As `npm i -g`, with a prefix. What it depends on has been installed for this project: it is in npm's cache. */
export const installArguments = (prefix: string, ...tarballs: string[]): string[] => [
  'install',
  '--global',
  '--prefix',
  prefix,
  '--prefer-offline',
  '--no-audit',
  '--no-fund',
  '--no-update-notifier',
  '--loglevel=error',
  ...tarballs,
];
