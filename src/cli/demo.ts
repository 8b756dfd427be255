// SPDX-License-Identifier: MIT
import { requirePrivileges } from '../controller/privileges';
import { Sandbox } from '../demo/sandbox';
import { balance, detach } from '../demo/step-balance';
import { fullQueue } from '../demo/step-full-queue';
import { transfer } from '../demo/step-transfer';
import { attach, look, ping } from '../demo/steps';
import { clock } from '../native/clock';
import { tell } from './output';

export async function demoCommand(): Promise<void> {
  requirePrivileges();
  const start = clock.now();
  const box = new Sandbox();
  try {
    await show(box);
  } finally {
    await box.close();
  }
  tell('', `All steps hold, in ${((clock.now() - start) / 1000).toFixed(1)} s. Next: vnet-bpf attach vnet0, and README.md.`);
}

async function show(box: Sandbox): Promise<void> {
  tell('vnet-bpf: what this network card transmits comes back as received.');
  tell('Lines with # are commands, as root would type them; make install puts vnet-bpf into the PATH.');
  const before = await attach(box);
  await look(box);
  await ping(box);
  await transfer(box);
  await fullQueue(box);
  await balance(box);
  await detach(box, before);
}
