/* sandbox.h: how a role locks itself in: a seccomp filter and landlock paths, both made by master, so that a role links
 * nothing for it. Neither can be undone by the process. */
#ifndef BH_IO_SANDBOX_H
#define BH_IO_SANDBOX_H

#include <behalf/types.h>

/* Installs a seccomp program (an array of struct sock_filter as bytes); sets no_new_privs. Empty: only the latter.
 * BH_E_SYNTAX: not such an array; BH_E_IO: the kernel refuses. */
BH_MUST bh_err bh_sandbox_filter(bh_str program);

/* Restricts the file system to the listed trees: entries end in NUL, each "r/path" (read) or "w/path" (read, write,
 * create, remove below it). An entry that does not exist is skipped. The entry "ntcp" leaves outgoing TCP open; without
 * it no TCP socket connects or binds. Signals and abstract unix sockets reach only this process. Uses what the running
 * kernel's landlock knows (TCP from version 4, the latter from 6); a kernel without landlock is not an error (master
 * says so once). BH_E_SYNTAX, BH_E_IO. */
BH_MUST bh_err bh_sandbox_paths(bh_str entries);

/* The landlock version of this kernel; 0 = none. */
int bh_sandbox_landlock_version(void);

#endif
