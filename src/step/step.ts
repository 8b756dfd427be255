// SPDX-License-Identifier: MIT
/** `vnet-bpf step`: the debugger of a NIC. The loop goes on however the debugger ends. */
import * as readline from 'node:readline';

import { ControlClient } from '../control/socket';
import { requireAttachment } from '../lifecycle/find-attachment';
import { checkInterfaceName, checkNetnsName } from '../options/values';
import { parseFilter } from '../packet/filter';
import { requirePrivileges } from '../requirements';
import { controlSocket } from '../state/store';
import { tell } from '../terminal/output';
import { type Lines, type SteppedLoop, Stepper } from './debugger';

// The loop of another process, through its control socket.

export function remoteLoop(client: ControlClient): SteppedLoop {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return {
    peek: async () => {
      const frame = (await client.ask({ order: 'peek' })) as { bytes: string; superpacket: boolean } | null;
      return frame && { ...frame, bytes: Buffer.from(frame.bytes, 'base64') };
    },
    step: async (verdict) => {
      const order = typeof verdict === 'string' ? { verdict } : { verdict: 'replace', frame: base64(verdict) };
      await client.ask({ order: 'step', ...order });
    },
    inject: async (frame) => {
      await client.ask({ order: 'inject', frame: base64(frame) });
    },
  };
}

// Lines of a stream, typed or piped, taken one at a time.

export class TypedLines implements Lines {
  private readonly waiting: string[] = [];
  private ended = false;
  private wake: () => void = () => undefined;

  constructor(input: NodeJS.ReadableStream) {
    // A terminal that is gone sends no more lines.
    input.on('error', () => this.end());
    readline
      .createInterface({ input })
      .on('line', (line) => {
        this.waiting.push(line);
        this.wake();
      })
      .on('close', () => this.end());
  }

  private end(): void {
    this.ended = true;
    this.wake();
  }

  get ready(): boolean {
    return this.waiting.length > 0 || this.ended;
  }

  async next(): Promise<string | null> {
    while (!this.ready) await new Promise<void>((resolve) => (this.wake = resolve));
    return this.waiting.shift() ?? null;
  }
}

export async function stepCommand(args: {
  iface: string;
  netns: string | undefined;
  filter: string | undefined;
}): Promise<void> {
  checkInterfaceName(args.iface);
  const netns = args.netns === undefined ? null : checkNetnsName(args.netns);
  const filter = args.filter === undefined ? null : parseFilter(args.filter);
  requirePrivileges();
  const attachment = requireAttachment(args.iface, netns);
  using client = await ControlClient.connect(controlSocket(attachment.id));
  try {
    await client.ask({ order: 'pause' });
    await new Stepper(remoteLoop(client), new TypedLines(process.stdin), tell, filter).run();
    await client.ask({ order: 'resume' });
    tell(`${attachment.iface} loops again`);
  } finally {
    process.stdin.destroy(); // it would keep the process alive
  }
}
