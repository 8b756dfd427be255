// SPDX-License-Identifier: MIT
/** Calls npm to get the project as its users do: packed, then installed. */

/** A variable that make removes from the environment and npm needs. */
const CERTIFICATES = process.env['VNET_BPF_CERTIFICATES'] ?? process.env['NODE_EXTRA_CA_CERTS'];

export const npmEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  NODE_OPTIONS: '',
  NODE_EXTRA_CA_CERTS: CERTIFICATES,
  // Where there is no network, what npm's cache lacks (src/setup/npm-cache.sh) is told at once, not after minutes.
  npm_config_fetch_retries: '0',
});

/** Packs vnet-bpf and libbpf-ts into a directory, from the root of the repository. */
export const packCommands = (destination: string): [string, string[]][] => [
  ['src/setup/pack.sh', [destination]],
  ['npm', ['pack', '--silent', '--workspaces', '--pack-destination', destination]],
];

/**
 * Runs `npm i -g` with a prefix. The dependencies are in npm's cache, see src/setup/npm-cache.sh.
 */
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
