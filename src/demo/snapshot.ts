// SPDX-License-Identifier: MIT
/** What a namespace has that attaching could have changed, to be compared as text. */
import type { Sandbox } from './sandbox';

export async function snapshot(box: Sandbox): Promise<string> {
  const questions = ['-brief link', '-4 rule', '-6 rule', '-4 route show table all', '-6 route show table all'];
  const answers: string[] = [];
  for (const question of questions) answers.push(await box.quietly(`ip -n ${box.netns} ${question}`));
  return answers.join('\n');
}
