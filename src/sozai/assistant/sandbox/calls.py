"""The system calls that a proposed script may not make, as a program for the kernel's filter (seccomp).

The kernel runs the program at every system call of the process and of its threads; nothing the process does can take
it off again. Sources: seccomp(2), bpf(4) and the kernel's tables of system calls.
"""

from __future__ import annotations

import errno
import platform
import struct

_TABLE = """
# sockets
socket 41 198; socketpair 53 199; connect 42 203; bind 49 200; listen 50 201; accept 43 202; accept4 288
242; sendto 44 206; recvfrom 45 207; sendmsg 46 211; recvmsg 47 212; sendmmsg 307 269; recvmmsg 299 243;
# other processes
fork 57 -; vfork 58 -; execve 59 221; execveat 322 281; ptrace 101 117; process_vm_readv 310 270;
process_vm_writev 311 271; process_madvise 440 440; process_mrelease 448 448; pidfd_open 434 434;
pidfd_getfd 438 438; pidfd_send_signal 424 424; kcmp 312 272; kill 62 129; tkill 200 130; rt_sigqueueinfo
129 138; rt_tgsigqueueinfo 297 240; setpriority 141 140; ioprio_set 251 30; sched_setscheduler 144 119;
sched_setparam 142 118; sched_setattr 314 274; migrate_pages 256 238; move_pages 279 239; setsid 112 157;
setpgid 109 154;
# mounts and namespaces
mount 165 40; umount2 166 39; pivot_root 155 41; chroot 161 51; unshare 272 97; setns 308 268; open_tree 428
428; move_mount 429 429; fsopen 430 430; fsconfig 431 431; fsmount 432 432; fspick 433 433; mount_setattr
442 442; open_by_handle_at 304 265; name_to_handle_at 303 264;
# ways around the filter
io_uring_setup 425 425; io_uring_enter 426 426; io_uring_register 427 427; bpf 321 280; perf_event_open 298
241; userfaultfd 323 282; keyctl 250 219; add_key 248 217; request_key 249 218; lookup_dcookie 212 18;
# memory shared with others
shmget 29 194; shmat 30 196; shmctl 31 195; shmdt 67 197; semget 64 190; semop 65 193; semctl 66 191;
semtimedop 220 192; msgget 68 186; msgsnd 69 189; msgrcv 70 188; msgctl 71 187; mq_open 240 180; mq_unlink
241 181; mq_timedsend 242 182; mq_timedreceive 243 183; mq_notify 244 184; mq_getsetattr 245 185;
# owners, rights and times of files, and names that lead elsewhere
chmod 90 -; fchmod 91 52; fchmodat 268 53; chown 92 -; fchown 93 55; lchown 94 -; fchownat 260 54; utime 132
-; utimes 235 -; utimensat 280 88; futimesat 261 -; setxattr 188 5; lsetxattr 189 6; fsetxattr 190 7;
removexattr 197 14; lremovexattr 198 15; fremovexattr 199 16; truncate 76 45; mknod 133 -; mknodat 259 33;
symlink 88 -; symlinkat 266 36; fanotify_init 300 262; fanotify_mark 301 263;
# the machine and this process's own limits
init_module 175 105; finit_module 313 273; delete_module 176 106; kexec_load 246 104; kexec_file_load 320
294; reboot 169 142; swapon 167 224; swapoff 168 225; sethostname 170 161; setdomainname 171 162;
settimeofday 164 170; clock_settime 227 112; adjtimex 159 171; clock_adjtime 305 266; acct 163 89; quotactl
179 60; quotactl_fd 443 443; syslog 103 116; vhangup 153 58; iopl 172 -; ioperm 173 -; modify_ldt 154 -;
setrlimit 160 164; capset 126 91; setuid 105 146; setgid 106 144; setreuid 113 145; setregid 114 143;
setresuid 117 147; setresgid 119 149; setfsuid 122 151; setfsgid 123 152; setgroups 116 159;
# looked at more closely, or said not to exist
clone 56 220; clone3 435 435; open 2 -; openat 257 56; openat2 437 437; prlimit64 302 261;
tgkill 234 131; sched_setaffinity 203 122;
"""
"""Name, number on x86_64, number on aarch64."""

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}
_LAST_KNOWN = 450
"""Later system calls did not exist when the table was made: the process is told that they do not."""
_ABSENT = ("clone3", "openat2", "io_uring_setup", "io_uring_enter", "io_uring_register")
"""Their arguments lie where a filter cannot look; libraries fall back to older calls."""
_THREAD = 0x10000  # CLONE_THREAD: a thread of this process, not a process
_TRUNCATE, _ACCESS = 0o1000, 0o3  # O_TRUNC beside O_RDONLY empties a file that was opened for reading only

_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16


OWN = 0x7E50494E
"""Stands in the program for the id of the process that installs it: it may signal itself alone."""


def program() -> bytes:
    """The filter as an array of ``struct sock_filter``; empty on an unknown kind of machine."""
    if (machine := platform.machine()) not in _ARCHITECTURES:
        return b""
    column, architecture = _ARCHITECTURES[machine]
    lines = [line for line in _TABLE.splitlines() if not line.startswith("#")]
    rows = [entry.split() for entry in " ".join(lines).split(";") if entry.strip()]
    numbers = {row[0]: int(row[1 + column]) for row in rows if row[1 + column] != "-"}
    closer = {
        # by name: which argument, its bits looked at, their value, and whether just this value is let through
        "clone": [(0, _THREAD, _THREAD, True)],
        "open": [(1, _TRUNCATE | _ACCESS, _TRUNCATE, False)],
        "openat": [(2, _TRUNCATE | _ACCESS, _TRUNCATE, False)],
        "prlimit64": [(0, 0xFFFFFFFF, 0, True)],
        "sched_setaffinity": [(0, 0xFFFFFFFF, 0, True)],
        "tgkill": [(0, 0xFFFFFFFF, OWN, True)],
    }
    code = [
        _line(_LOAD, _ARCHITECTURE),
        _line(_EQUAL, architecture, 1, 0),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
        _line(_AT_LEAST, _LAST_KNOWN + 1, 0, 1),
        _line(_RETURN, _ERROR | errno.ENOSYS),
    ]
    for name, number in numbers.items():
        if name in closer:
            for argument, bits, value, let_through in closer[name]:
                code += [
                    _line(_EQUAL, number, 0, 5),
                    _line(_LOAD, _ARGUMENTS + 8 * argument),
                    _line(_AND, bits),
                    _line(_EQUAL, value, *((1, 0) if let_through else (0, 1))),
                    _line(_RETURN, _ERROR | errno.EPERM),
                    _line(_RETURN, _ALLOW),
                ]
        else:
            code += [
                _line(_EQUAL, number, 0, 1),
                _line(_RETURN, _ERROR | (errno.ENOSYS if name in _ABSENT else errno.EPERM)),
            ]
    return b"".join([*code, _line(_RETURN, _ALLOW)])


def _line(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, if_true, if_false, value)
