// SPDX-License-Identifier: MIT
/**
 * access-list-tool FILE [UID]: lets a user read and write a file, by an access control list (acl(5)); without a user it
 * removes the list.
 */

// koffi declares its types as those of an ES module, while `require` gets its CommonJS build.
type Koffi = typeof import('koffi', { with: { 'resolution-mode': 'import' } });
// eslint-disable-next-line @typescript-eslint/no-require-imports
const libc = (require('koffi') as Koffi).load('libc.so.6');

type Native = (...args: (number | string | Uint8Array)[]) => number;
const setxattr = libc.func(
  'int setxattr(const char *path, const char *name, const uint8_t *value, size_t size, int flags)',
) as unknown as Native;
const removexattr = libc.func('int removexattr(const char *path, const char *name)') as unknown as Native;

const NAME = 'system.posix_acl_access';
const VERSION = 2;
/** include/uapi/linux/posix_acl.h: ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER. */
const TAG = { owner: 1, user: 2, group: 4, mask: 0x10, others: 0x20 } as const;
const [READ_WRITE_ENTER, READ_ENTER, NOBODY] = [7, 5, 0xffffffff] as const;

/** struct posix_acl_xattr_header, and an entry for each tag, in their order. */
function listFor(uid: number): Buffer {
  const entries = [
    [TAG.owner, READ_WRITE_ENTER, NOBODY],
    [TAG.user, READ_WRITE_ENTER, uid],
    [TAG.group, READ_ENTER, NOBODY],
    [TAG.mask, READ_WRITE_ENTER, NOBODY],
    [TAG.others, READ_ENTER, NOBODY],
  ] as const;
  const list = Buffer.alloc(4 + 8 * entries.length);
  list.writeUInt32LE(VERSION);
  entries.forEach(([tag, rights, id], i) => {
    list.writeUInt16LE(tag, 4 + 8 * i);
    list.writeUInt16LE(rights, 6 + 8 * i);
    list.writeUInt32LE(id, 8 + 8 * i);
  });
  return list;
}

const [file = '', uid] = process.argv.slice(2);
const list = uid === undefined ? null : listFor(Number(uid));
const result = list === null ? removexattr(file, NAME) : setxattr(file, NAME, list, list.length, 0);
if (result !== 0) throw new Error(`the access control list of ${file} could not be changed`);
