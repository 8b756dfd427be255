// SPDX-License-Identifier: MIT
/** What libbpf prints, as a part of one line: the lines that name the reason of a failure. */

/** Characters that move a cursor, end a line or hide text. */
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Text of unknown origin for a message: control characters as escapes, and cut to `max` characters. */
export function bounded(text: string, max: number): string {
  const cut = text.length > max ? `${text.slice(0, max - 1)}\u2026` : text;
  return cut.replace(CONTROL, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Lines that only repeat that something failed. */
const REPEATS: readonly RegExp[] = [
  /^failed to load object /,
  /^failed to load BPF skeleton /,
  /^Error loading \.BTF into kernel: .*BTF is optional/,
  // It goes on without, and says whether that has failed, too.
  /^Error in bpf_create_map_xattr\(.*Retrying without BTF\.$/,
  /^failed to init(?:ialize)? /,
  /^prog '.*': BPF program load failed: /,
  /^prog '.*': failed to load: -\d+$/,
  // A log of the kernel, in full; that of the verifier is an error's `log`.
  /^(?:prog '.*': )?-- (?:BEGIN|END) [A-Z ]*LOG --/,
];

/** The most lines that become part of a message, and its characters. */
const LINES = 3;
const CHARACTERS = 700;

/**
 * The lines that say why, joined by "; ": what libbpf prints first is closest to the cause. Undefined if there is none.
 *
 * @param messages lines without the prefix `libbpf: `
 */
export function reasonOf(messages: readonly string[]): string | undefined {
  const lines = [...new Set(messages.filter((line) => line.trim() !== ''))];
  const telling = lines.filter((line) => !REPEATS.some((pattern) => pattern.test(line)));
  const chosen = (telling.length > 0 ? telling : lines).slice(0, LINES);
  return chosen.length === 0 ? undefined : bounded(chosen.join('; '), CHARACTERS);
}
