// SPDX-License-Identifier: MIT
// Boots a kernel, runs a script in it and says whether that went well. The exit status of qemu is no evidence (a
// panic gives 0): what counts is the trailer that only a complete run prints, and a console without complaints.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { FetchedKernel } from './fetch-kernel';
import { buildImage, type Payload } from './image';
import { cache } from './paths';
import { runQemu, type Ending, type Limits } from './qemu';
import { findSplats } from './splats';

export interface BootOptions {
  readonly limits: Limits;
  readonly memoryMb: number;
  /** Tried, not trusted: it hangs on some nested hosts. A guest that does not come up is emulated. */
  readonly kvm: boolean;
  readonly abort: AbortSignal;
  readonly announce: (text: string) => void;
  /** A line of the guest's output; those of the harness' own protocol are not handed over. */
  readonly onLine: (line: string) => void;
  /** A protocol line of the script, without the leading "@vm ". */
  readonly onEvent?: (event: readonly string[]) => void;
}

export interface BootResult {
  /** Of the script; undefined when the guest did not get that far. */
  readonly exitCode: number | undefined;
  /** One line each; empty when all is well. */
  readonly problems: readonly string[];
  readonly allowances: readonly string[];
  readonly consoleFile: string;
  readonly ending: Ending;
  readonly times: { imageMs: number; userSpaceMs: number | undefined; scriptMs: number | undefined; totalMs: number };
}

export async function boot(kernel: FetchedKernel, payload: Payload, options: BootOptions): Promise<BootResult> {
  const result = await bootOnce(kernel, payload, options, options.kvm);
  // Seen once in some two hundred boots: emulation, not us. Once more; a second time is real. Never for what came
  // later.
  if (result.times.userSpaceMs !== undefined || result.ending.kind === 'interrupted') return result;
  options.announce(
    `kernel ${kernel.name}: no user space (${result.problems.join('; ')}), booted again${options.kvm ? ' without KVM' : ''}`,
  );
  return bootOnce(kernel, payload, options, false);
}

async function bootOnce(
  kernel: FetchedKernel,
  payload: Payload,
  options: BootOptions,
  kvm: boolean,
): Promise<BootResult> {
  const started = Date.now();
  // Kept after the run under a name that is easy to find; written elsewhere, because another run may be under way.
  const consoleFile = path.join(cache('consoles'), `${kernel.name}.log`);
  const scratch = path.join(cache('run'), String(process.pid), kernel.name);
  mkdirSync(scratch, { recursive: true });
  try {
    const image = path.join(scratch, `${kernel.name}.cpio`);
    const console = path.join(scratch, `${kernel.name}.console`);
    buildImage(kernel, payload, image);
    const powerOn = Date.now();
    let exitCode: number | undefined;
    let userSpaceMs: number | undefined;
    let scriptAt: number | undefined;
    let scriptMs: number | undefined;
    // A protocol line is preceded by a line break of its own, in case the output before had none at its end.
    let blank = false;
    const onLine = (line: string) => {
      if (!line.startsWith('@vm ')) {
        if (blank) options.onLine('');
        blank = line === '';
        return blank ? undefined : options.onLine(line);
      }
      blank = false;
      const event = line.slice(4).split(' ');
      if (event[0] === 'ready') userSpaceMs = Date.now() - powerOn;
      else if (event[0] === 'start') scriptAt = Date.now();
      else if (event[0] === 'exit') {
        exitCode = Number(event[1]);
        scriptMs = Date.now() - (scriptAt ?? powerOn);
      } else options.onEvent?.(event);
    };
    const ending = await runQemu(
      { vmlinuz: kernel.vmlinuz, image, console, memoryMb: options.memoryMb, kvm },
      options.limits,
      onLine,
      options.abort,
    );
    const log = existsSync(console) ? readFileSync(console, 'latin1') : '';
    writeFileSync(consoleFile, log);
    const { splats, allowances } = findSplats(log, kernel.name);
    const problems = splats.map((splat) => `kernel complaint: ${splat}`);
    if (ending.kind !== 'exited') problems.unshift(ending.why);
    else if (exitCode === undefined) problems.unshift(`the guest ended before its script did: ${ending.why}`);
    return {
      exitCode,
      problems,
      allowances,
      consoleFile,
      ending,
      times: { imageMs: powerOn - started, userSpaceMs, scriptMs, totalMs: Date.now() - started },
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
