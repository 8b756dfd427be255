// SPDX-License-Identifier: MIT
/** Standard input, and other pipes that are read without keeping one of Node's threads. */
import * as fs from 'node:fs';
import * as net from 'node:net';
import type { Readable } from 'node:stream';

import { reopened } from './standard-streams';

/** Whether pipeInput() reads such a file. */
export const isPipe = (stat: fs.Stats): boolean => stat.isFIFO() || stat.isSocket();

/**
 * Reads a pipe or a socket; destroying the stream ends a read in progress. Other processes may share standard input, so
 * a pipe there is opened again: it stays blocking for them.
 */
export const pipeInput = (fd: number): net.Socket =>
  new net.Socket({ fd: fd === 0 ? reopened(fd, fs.constants.O_RDONLY) : fd, readable: true, writable: false });

/** Standard input, whatever it is. */
export const standardInput = (): Readable => (isPipe(fs.fstatSync(0)) ? pipeInput(0) : process.stdin);
