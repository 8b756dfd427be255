// SPDX-License-Identifier: MIT
/** The program: main.ts runs it, from one file that has all of it. */
import { closeInherited } from '../native/inherited';
import { allNewsIsOut } from '../native/standard-streams';
import { leaveTerminalOfOthers } from '../native/terminal';
import { leaveOwnerAlone } from '../native/umask';
import { fail, runCommandLine } from './command-line';
import { inBackground, READY_FD } from './in-background';
import { ignoreHangup } from './signals';

if (inBackground()) closeInherited(READY_FD);
ignoreHangup();
leaveTerminalOfOthers();
leaveOwnerAlone();
void runCommandLine().catch(fail).then(allNewsIsOut);
