// SPDX-License-Identifier: MIT
/** The program: main.ts runs it, from one file that has all of it. */
import { allNewsIsOut } from '../native/standard-streams';
import { endWithoutTerminal } from '../native/terminal';
import { leaveOwnerAlone } from '../native/umask';
import { runCommandLine } from './commands';
import { fail } from './output';
import { ignoreHangup } from './signals';

ignoreHangup();
endWithoutTerminal();
leaveOwnerAlone();
void runCommandLine().catch(fail).then(allNewsIsOut);
