// SPDX-License-Identifier: MIT
/** What became of a frame, in the words of a recording's comment, without those that every comment has. */
import { VIRTIO_PREFIX } from '../../capture/contract';

/** `captured, reinjected after 0.087 ms; virtio_net_hdr 0100...` without its beginning and its end. */
export function outcomeWords(comment: string): string {
  const end = comment.indexOf(`; ${VIRTIO_PREFIX}`);
  return (end < 0 ? comment : comment.slice(0, end)).replace(/^captured, /, '');
}

/** For how long the frame was held, in the words of the comment; null if it was not. */
export const heldWords = (comment: string): string | null => /\bheld for [\d.]+ ms/.exec(comment)?.[0] ?? null;
