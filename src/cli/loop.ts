// SPDX-License-Identifier: MIT
/** The program once more: its bundle leaves out all commands but attach and detach (src/setup/bundle.ts). */
import './program';
