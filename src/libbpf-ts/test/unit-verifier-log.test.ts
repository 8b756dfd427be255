// SPDX-License-Identifier: MIT
import t from 'tap';
import { summarizeLog, VerifierError } from '../src/verifier-log';

t.test('the last line that is no statistic says why', async (t) => {
  const log = "0: (79) r0 = *(u64 *)(r0 +0)\nR0 invalid mem access 'scalar'\nprocessed 7 insns (limit 1000000) x\n\n";
  t.equal(summarizeLog(log), "R0 invalid mem access 'scalar' (2 lines omitted)");
});

t.test('a report behind the complaint (Linux 7.3) is not the complaint', async (t) => {
  const report = 'Verification failed: Register Type Safety\n\nReason:\n  R0 may be NULL here.\n\nSuggestion:\n  Add a check.\n';
  t.equal(summarizeLog(`R0 invalid mem access\n\n${report}\nprocessed 7 insns`), 'R0 invalid mem access (6 lines omitted)');
  t.equal(summarizeLog(`${report}processed 7 insns`), 'Add a check. (5 lines omitted)', 'unless there is nothing else');
});

t.test('short and empty logs', async (t) => {
  t.equal(summarizeLog('only this\n'), 'only this');
  t.equal(summarizeLog('one\ntwo'), 'two (1 line omitted)');
  t.equal(summarizeLog('\n'), 'refused without a log');
  t.equal(summarizeLog('processed 1 insns (limit 1)'), 'processed 1 insns (limit 1)');
});

t.test('the error carries the log and the program', async (t) => {
  const error = new VerifierError('tx', 'a\nb\nprocessed 2 insns', 13);
  t.match(error, { code: 'BPF_VERIFIER', program: 'tx', errno: 13, errnoName: 'EACCES', name: 'VerifierError' });
  t.equal(error.message, 'load program tx: b (2 lines omitted)');
  t.equal(error.log, 'a\nb\nprocessed 2 insns');
});
