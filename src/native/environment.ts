// SPDX-License-Identifier: MIT
/**
 * What other processes inherit from ours. Whoever starts this program as root may steer it with variables of Node's;
 * what it starts itself is steered by none.
 */

/** Where the system's programs are found, whatever PATH says. */
export const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin:/run/current-system/sw/bin';

/** The whole environment of a system program: iproute2 loads libraries from where TC_LIB_DIR and its like say. */
export const systemEnvironment = (): NodeJS.ProcessEnv => ({ PATH: SYSTEM_PATH, LC_ALL: 'C' });

/**
 * Variables with which Node, TypeScript, the dynamic linker, OpenSSL, glibc or a shell load code, open files or sockets
 * that nobody has named on the command line.
 */
const STEERING =
  /^(?:NODE_.*|TS_.*|TSC_.*|VSCODE_INSPECTOR_OPTIONS|V8_.*|UV_.*|ICU_.*|LD_.*|GLIBC_TUNABLES|MALLOC_.*|GCONV_PATH|GETCONF_DIR|LOCPATH|NLSPATH|NIS_PATH|TZDIR|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS|RESOLV_HOST_CONF|OPENSSL_.*|CTLOG_FILE|QLOGDIR|SSL_CERT_.*|SSLKEYLOGFILE|BASH_.*|BASHOPTS|SHELLOPTS|ENV|IFS|PS4|TC_LIB_DIR|IP_LIB_DIR)$/;

/** A PATH without what is looked up from the current directory. */
function absoluteDirectories(PATH: string | undefined): string {
  return (PATH ?? '').split(':').filter((directory) => directory.startsWith('/')).join(':') || SYSTEM_PATH;
}

/** The environment of what runs this program's code without a user in front of it: a daemon, the hooks' threads. */
export function programEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !STEERING.test(name));
  // Empty, for Node gives a child its own if there is none.
  return { ...Object.fromEntries(kept), PATH: absoluteDirectories(process.env['PATH']), NODE_OPTIONS: '', NODE_V8_COVERAGE: '' };
}
