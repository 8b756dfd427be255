// SPDX-License-Identifier: MIT
/** The program once more: its bundle leaves out all commands but stats and list (src/setup/bundle.ts). */
import './program';
