// SPDX-License-Identifier: MIT
// One qemu process: started, watched and ended here. Nothing is judged here beyond "is it still alive".
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { which } from './host-files';
import { Watchdog } from './watchdog';

/** In milliseconds of qemu's processor time; four times that by the wall clock: watchdog.ts. */
export interface Limits {
  /** Until the guest's init speaks. */
  readonly bootMs: number;
  /** From the start to the end of qemu. */
  readonly totalMs: number;
  /** Between two lines on the result channel. */
  readonly idleMs: number;
}

export type Ending =
  | { readonly kind: 'exited'; readonly why: string }
  | { readonly kind: 'no-user-space' | 'idle' | 'timeout'; readonly why: string }
  | { readonly kind: 'interrupted'; readonly why: string };

export interface Guest {
  readonly vmlinuz: string;
  readonly image: string;
  readonly console: string;
  readonly memoryMb: number;
  /** On the host's processor instead of an emulated one. */
  readonly kvm: boolean;
}

/**
 * All that qemu can emulate, less what it does slowly: `rep movsb`, which the kernel and libc copy with where there is
 * ERMS, goes byte by byte (a copy takes half the time without), AVX through a function call for each instruction, a
 * fifth level of page tables at each miss of the TLB, and SMAP at each access to user memory.
 */
const EMULATED_CPU = 'max,-erms,-fsrm,-avx,-avx2,-la57,-smap,-smep,-umip,-pku';

/**
 * What the kernel is told where the processor is emulated. The TSC of all processors is the host's, so that they agree;
 * the kernel cannot see that, and would read the HPET for each clock, which is a device. Code that lies at the same
 * address in each process is translated once (a tenth of all time). Nobody is kept out of a guest by mitigations.
 */
const EMULATED_KERNEL = 'tsc=reliable norandmaps mitigations=off';

const running = new Set<ChildProcess>();

/** Ends every qemu that was started here, by its process id. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Runs qemu to its end; every line of the result channel is handed over as it comes. */
export function runQemu(
  guest: Guest,
  limits: Limits,
  onLine: (line: string) => void,
  abort: AbortSignal,
): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const [program, ...args] = commandLine(guest);
    const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    let ending: Ending | undefined;
    let complaints = '';
    const end = (kind: Exclude<Ending['kind'], 'exited'>, why: string): void => {
      ending ??= { kind, why };
      child.kill('SIGKILL');
    };
    const watchdog = new Watchdog<'no-user-space' | 'idle' | 'timeout'>(child.pid ?? 0, end);
    watchdog.start('no-user-space', limits.bootMs, 'no user space within');
    watchdog.start('timeout', limits.totalMs, 'not finished within');
    const interrupt = (): void => end('interrupted', 'interrupted');
    abort.addEventListener('abort', interrupt, { once: true });
    if (abort.aborted) interrupt();

    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
    // utf8 in pieces is put together by readline; raw bytes that are not utf8 come out as U+FFFD.
    createInterface({ input: child.stdout, crlfDelay: Infinity }).on('line', (line) => {
      if (line.startsWith('@vm ready')) watchdog.stop('no-user-space');
      // From the first line on; until then the limit of the boot holds.
      watchdog.start('idle', limits.idleMs, 'no output for');
      onLine(line);
    });
    child.on('error', (error) => {
      watchdog.close();
      reject(new Error(`qemu could not be run: ${error.message}`));
    });
    // 'close' and not 'exit': the last lines may still be in the pipe.
    child.on('close', (code, signal) => {
      running.delete(child);
      watchdog.close();
      abort.removeEventListener('abort', interrupt);
      const how = `qemu ended (${signal ?? code})${complaints ? `: ${complaints.trim()}` : ''}`;
      resolve(ending ?? { kind: 'exited', why: how });
    });
  });
}

function commandLine(guest: Guest): string[] {
  const qemu = which('qemu-system-x86_64');
  if (qemu === undefined) throw new Error('qemu-system-x86_64 is not installed: test/vm/README.md lists the packages');
  // With us gone for whatever reason, SIGKILL included, qemu must go as well.
  const leash = which('setpriv');
  return [
    ...(leash === undefined ? [] : [leash, '--pdeathsig', 'KILL']),
    qemu,
    '-machine',
    'q35',
    '-accel',
    // One thread for both processors: with two, a kernel that patches its own code while the other processor runs it
    // dies now and then (QEMU 7.2, "Oops: int3" in sched_clock_cpu).
    guest.kvm ? 'kvm' : 'tcg,thread=single',
    '-cpu',
    guest.kvm ? 'host' : EMULATED_CPU,
    '-smp',
    '2',
    '-m',
    String(guest.memoryMb),
    '-nodefaults',
    '-display',
    'none',
    '-no-reboot',
    '-kernel',
    guest.vmlinuz,
    '-initrd',
    guest.image,
    // loglevel 5 shows warnings, which print at level 4. An oops ends the guest: -no-reboot turns panic=-1 into an
    // exit.
    '-append',
    `console=ttyS0 panic=-1 oops=panic loglevel=5${guest.kvm ? '' : ` ${EMULATED_KERNEL}`}`,
    '-chardev',
    `file,id=console,path=${guest.console}`,
    '-serial',
    'chardev:console',
    '-chardev',
    'stdio,id=results,signal=off',
    '-serial',
    'chardev:results',
  ];
}
