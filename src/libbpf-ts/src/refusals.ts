// SPDX-License-Identifier: MIT
/** What to do about the commonest refusals of the verifier. */

/** A kind of refusal. */
export interface Refusal {
  /** Matches the line with the complaint, see {@link complaintOf}; patterns have the words of all kernels since 5.10. */
  readonly pattern: RegExp;
  /** What to change in the program. */
  readonly suggestion: string;
}

/** The first row that matches applies, so that special cases stand before general ones. */
export const REFUSALS: readonly Refusal[] = [
  {
    pattern:
      /invalid mem access '\w*_or_null|Possibly NULL pointer passed|pointer arithmetic on \w*_or_null prohibited/,
    suggestion: 'the pointer may be NULL: compare it with NULL before using it',
  },
  {
    pattern: /type=\w*_or_null expected=/,
    suggestion: 'the argument may be NULL: compare it with NULL before passing it',
  },
  {
    pattern: /invalid access to packet|offset is outside of the packet/,
    suggestion:
      'before this access, compare the pointer plus its length with data_end, and use the pointer that was compared',
  },
  {
    pattern: /invalid mem access 'pkt_end'/,
    suggestion: 'data_end only serves for comparisons: read through a pointer that began as data',
  },
  {
    pattern: /min value is negative|unbounded min value/,
    suggestion: 'the number may be negative: make it unsigned, or mask it (index &= SIZE - 1) right before its use',
  },
  {
    pattern: /unbounded memory access|invalid access to map value|is outside of the allowed memory range/,
    suggestion:
      'the offset is not known to lie inside: compare it with the size (if (index >= SIZE) return 0) or mask it, right before its use',
  },
  {
    pattern: /invalid zero-sized read/,
    suggestion: 'the length may be 0: return before the call if it is',
  },
  {
    pattern: /invalid mem access '(?:scalar|inv)'/,
    suggestion:
      "a number is used as a pointer: read the kernel's memory with bpf_probe_read_kernel() or BPF_CORE_READ(), a user's with bpf_probe_read_user()",
  },
  {
    pattern: /Unreleased reference|reference leak/i,
    suggestion:
      'release it on every path to the end: bpf_ringbuf_submit() or bpf_ringbuf_discard(), bpf_sk_release(), and the like',
  },
  {
    pattern: /back-edge|infinite loop detected/,
    suggestion:
      'the loop has no bound that the verifier can see: give it a constant one, or use bpf_loop() (Linux 5.17)',
  },
  {
    pattern: /BPF program is too large|sequence of \d+ jumps is too complex/,
    suggestion:
      'too many paths: make loops shorter or use bpf_loop() (Linux 5.17), and move parts into global (not static) functions',
  },
  {
    pattern:
      /stack size of \d+ calls is|invalid stack type R\d+ off=-?(?:5[2-9]\d|51[3-9]|[6-9]\d\d|\d{4,})|invalid (?:write|read|access)? ?(?:to|from|of)? ?(?:variable-offset )?stack R\d+ off=-?(?:5[2-9]\d|51[3-9]|[6-9]\d\d|\d{4,})/,
    suggestion: 'the stack has 512 bytes: keep large variables in a per-CPU array of one entry',
  },
  {
    pattern:
      /invalid (?:indirect )?(?:read|access) (?:from|to) (?:the )?(?:variable-offset )?stack|invalid read from stack/,
    suggestion: 'a part of the variable was never set: initialize all of it, padding included (= {}, or memset)',
  },
  {
    pattern: /call stack of \d+ frames is too deep/,
    suggestion: 'functions may call each other 8 deep: inline some (static __always_inline)',
  },
  {
    pattern: /failed to find the address for kernel symbol/,
    suggestion:
      'this kernel has no such variable, or hides it from this process: see /proc/kallsyms; a __weak extern may be missing',
  },
  {
    pattern: /only read is supported/,
    suggestion:
      "the kernel's own structures are read-only for programs: write to them through a helper or kfunc that may",
  },
  {
    pattern: /attach to unsupported member/,
    suggestion: 'the kernel lets no program have this member of the struct_ops: leave it out',
  },
  {
    pattern: /R0 !read_ok/,
    suggestion: 'the return value is not set on every path',
  },
  {
    pattern: /R\d+ !read_ok/,
    suggestion: 'a variable is used before it is set, or an argument is missing in the call',
  },
  {
    pattern: /At (?:program|subprogram|async callback) exit the register R\d|program exit the register R0/,
    suggestion: 'return one of the values that this kind of program may return, on every path',
  },
  {
    pattern: /failed to resolve CO-RE relocation/,
    suggestion:
      'the types of this kernel lack it: ask first, with bpf_core_field_exists() or bpf_core_type_exists(), and use another',
  },
  {
    pattern: /unknown func|invalid func|program of this type cannot use helper|cannot use helper/,
    suggestion:
      'this kernel does not have the helper, or not for this kind of program: see its first kernel in bpf-helpers(7), or use another section',
  },
  {
    pattern: /GPL.?(?:restricted|compatible)|GPL-/,
    suggestion: 'the helper is for programs under the GPL: char _license[] SEC("license") = "GPL";',
  },
  {
    pattern: /calling kernel function \S+ is not allowed/,
    suggestion: 'this kind of program may not call the kernel function: see where the kernel registers it',
  },
  {
    pattern: /invalid bpf_context access/,
    suggestion:
      'this kind of program may not read or write the field of its context, or not with this size: read whole fields, as they are declared',
  },
  {
    pattern: /variable ctx access|dereference of modified ctx ptr|modified ctx/,
    suggestion: 'read each field from the context itself: do not add to its pointer, nor pass a part of it',
  },
  {
    pattern: /doesn't have \d+-th argument|func '.*' (?:arg\d+|has no)/,
    suggestion: 'the traced function has fewer arguments: see its prototype in the BTF of the kernel',
  },
  {
    pattern: /pointer arithmetic|pointer .* prohibited|math between/,
    suggestion: 'only a number that is known to be small may be added to a pointer: check its bounds before',
  },
  {
    pattern: /leaks addr|leaking? pointer|leak pointer/,
    suggestion: 'an address would leave the kernel, which needs CAP_PERFMON: store or return a number instead',
  },
  {
    pattern: /unreachable insn|last insn is not an exit|jump out of range/,
    suggestion:
      'the compiler has removed the end of a function, as after undefined behaviour: look at its warnings (-Wall)',
  },
  {
    pattern: /write into map forbidden|cannot write into|read-only|rdonly/,
    suggestion: 'the memory is read-only: constants (.rodata) and maps with BPF_F_RDONLY_PROG cannot be written',
  },
  {
    pattern: /might sleep|sleepable/,
    suggestion: 'a helper that may sleep needs a sleepable program: a section that ends in .s, as SEC("fentry.s/...")',
  },
  {
    pattern: /misaligned/,
    suggestion: 'read the value in parts, or copy it with __builtin_memcpy() to a variable first',
  },
  {
    pattern: /has to have BTF/,
    suggestion:
      'the kernel has no types of the map: compile with -g, and look whether libbpf could load .BTF (messages)',
  },
  {
    pattern: /spin.?lock|holding a lock/,
    suggestion: 'between bpf_spin_lock() and bpf_spin_unlock(): no other lock, no call, and unlock on every path',
  },
  {
    pattern: /R\d+ type=\S+ expected=|arg#\d+/,
    suggestion: 'the argument is of another kind than the helper or function takes: see its prototype',
  },
];

/** What to do about a complaint; undefined for a rare one. */
export const suggestionFor = (complaint: string): string | undefined =>
  REFUSALS.find(({ pattern }) => pattern.test(complaint))?.suggestion;
