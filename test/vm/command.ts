// SPDX-License-Identifier: MIT
// Runs a host tool and returns what it printed; its failure becomes an error that names the tool and its complaint.
import { spawnSync } from 'node:child_process';

export function run(
  tool: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): string {
  const result = spawnSync(tool, args, {
    ...options,
    encoding: 'utf8',
    maxBuffer: 256 << 20,
    // Output is parsed: no translations. LC_ALL, because it wins over everything else.
    env: { ...(options.env ?? process.env), LC_ALL: 'C' },
  });
  if (result.error) throw new Error(`${tool} could not be run: ${result.error.message}`);
  if (result.status !== 0) {
    const how = result.status === null ? `was killed by ${result.signal}` : `exited with ${result.status}`;
    throw new Error(`${tool} ${args.join(' ')} ${how}: ${result.stderr.trim() || result.stdout.trim()}`);
  }
  return result.stdout;
}
