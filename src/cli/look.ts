// SPDX-License-Identifier: MIT
/** The program once more: its bundle leaves out all commands but those that look (src/setup/bundle.ts). */
import './program';
