"""What the kernel refuses to this process from now on, asked of it by its system calls; nothing here can be undone.

`enclose` comes first, before any thread, and takes the files, the capabilities and the network; `seal` comes last,
after all imports, and takes memory, time and every system call that computing does not need. Each wall holds without
the others. They are Linux's; where the kernel lacks one, its name is returned, and whoever asked decides what to do.
Runs before anything else is loaded, so it imports the standard library alone.
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable

# Why a wall matters, where there is none; the words complete "without it other people's code could ...".
FILES, CALLS = "Landlock", "seccomp"
OPENS = {FILES: "read your files", CALLS: "change them, reach the network and end other processes"}

NEW_USER, NEW_NET, NEW_IPC = 0x10000000, 0x40000000, 0x08000000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME, PR_GET_NAME = 1, 4, 15, 16
PR_SET_NO_NEW_PRIVS, PR_SET_VMA = 38, 0x53564D41

# Landlock, https://docs.kernel.org/userspace-api/landlock.html: system calls, rights, and how many rights an ABI has.
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
READ_FILE, READ_DIR = 1 << 2, 1 << 3
RIGHTS_OF_ABI = {1: 13, 2: 14, 3: 15, 4: 15}  # and 16 from ABI 5 on
TCP_RIGHTS, SCOPES = 0b11, 0b11  # bind, connect from ABI 4 on; abstract sockets, signals from ABI 6 on

# System calls that computing needs, as (x86-64, aarch64). Those that reach beyond the process are not among them, and
# what a later kernel adds is refused until it is listed here.
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, and the architecture as seccomp calls it
ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "futex": (202, 98), "read": (0, 63), "write": (1, 64), "mmap": (9, 222), "munmap": (11, 215), "madvise": (28, 233),
    "mprotect": (10, 226), "brk": (12, 214), "mremap": (25, 216), "clock_gettime": (228, 113), "close": (3, 57),
    "clock_nanosleep": (230, 115), "nanosleep": (35, 101), "clock_getres": (229, 114), "gettimeofday": (96, 169),
    "time": (201, None), "sched_yield": (24, 124), "getcpu": (309, 168), "membarrier": (324, 283),
    "futex_waitv": (449, 449), "fstat": (5, 80), "newfstatat": (262, 79), "stat": (4, None), "lstat": (6, None),
    "statx": (332, 291), "lseek": (8, 62), "pread64": (17, 67), "pwrite64": (18, 68), "readv": (19, 65),
    "writev": (20, 66), "getdents64": (217, 61), "access": (21, None), "faccessat": (269, 48),
    "faccessat2": (439, 439), "readlink": (89, None), "readlinkat": (267, 78), "getcwd": (79, 17),
    "fadvise64": (221, 223), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "close_range": (436, 436),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132), "restart_syscall": (219, 128),
    "exit": (60, 93), "exit_group": (231, 94), "set_robust_list": (273, 99), "set_tid_address": (218, 96),
    "rseq": (334, 293), "getrandom": (318, 278), "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173),
    "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "uname": (63, 160),
    "sysinfo": (99, 179), "times": (100, 153), "getrusage": (98, 165), "getrlimit": (97, 163),
    "sched_getaffinity": (204, 123), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
}  # fmt: skip
CLONE, CLONE3, OPEN, OPENAT, FCNTL, IOCTL, PRLIMIT, PRCTL, TGKILL = (
    (56, 220), (435, 435), (2, None), (257, 56), (72, 25), (16, 29), (302, 261), (157, 167), (234, 131),
)  # fmt: skip
SECCOMP, CAPSET = (317, 277), (126, 91)

CLONE_THREAD, CLONE_NEW = 0x10000, 0x7E020000
O_TMPFILE = 0x400000  # its own bit; os.O_TMPFILE has that of O_DIRECTORY too
OPEN_TO_WRITE = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | O_TMPFILE
FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)  # duplicate, and the flags of a descriptor; no owner, lease, lock or seal
IOCTL_REQUESTS = (0x5401, 0x5413, 0x541B, 0x5450, 0x5451)  # terminal or not, its size, bytes to read, close on exec
EPERM, EACCES, ENOSYS = 1, 13, 38


def enclose(readable: Iterable[str], listed: Iterable[str], parent: int) -> list[str]:
    """Die with the process `parent`, hold no capability, have no network, open nothing that is not below `readable`.

    What cannot be had is returned by name. Call it before there is a thread: one that exists keeps what it may do.
    """
    if not sys.platform.startswith("linux"):
        return [FILES]
    libc = ctypes.CDLL(None, use_errno=True)
    _prctl(libc, PR_SET_PDEATHSIG, 9)
    if os.getppid() != parent:  # it died before that
        os._exit(1)
    libc.unshare(NEW_USER | NEW_NET | NEW_IPC)  # where the system allows it; the walls below do not need it
    _drop_capabilities(libc)
    _prctl(libc, PR_SET_DUMPABLE, 1)  # what has left its namespace no longer is, and then its parent cannot watch it
    _prctl(libc, PR_SET_NO_NEW_PRIVS, 1)
    return [] if restrict_files(readable, listed) else [FILES]


def seal(readable: Iterable[str], listed: Iterable[str], memory: int, seconds: float) -> list[str]:
    """Open only what is below `readable`, which may be less than before, make no system call but those of `ALLOWED`.

    Memory in bytes and processor time are bounded. What cannot be had is returned by name.
    """
    limit(memory, seconds)
    if not sys.platform.startswith("linux"):  # where the numbers of system calls mean others
        return [CALLS]
    restrict_files(readable, listed)
    return [] if filter_calls() else [CALLS]


def restrict_files(readable: Iterable[str], listed: Iterable[str] = ()) -> bool:
    """Landlock: read below `readable`, list below `listed`, write and execute nothing; False where there is none.

    Through ABI 4 and 6 also no TCP, no abstract socket and no signal to the outside.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    abi = _call(libc, LANDLOCK_CREATE, None, 0, 1)
    if abi < 1:
        return False
    handled = (1 << RIGHTS_OF_ABI.get(abi, 16)) - 1
    attributes = [handled, *([TCP_RIGHTS] if abi >= 4 else []), *([SCOPES] if abi >= 6 else [])]
    packed = struct.pack(f"={len(attributes)}Q", *attributes)
    ruleset = _call(libc, LANDLOCK_CREATE, packed, len(packed), 0)
    if ruleset < 0:
        return False
    try:
        for path, wanted in [*((p, READ_FILE | READ_DIR) for p in readable), *((p, READ_DIR) for p in listed)]:
            with contextlib.suppress(OSError):  # what is not there cannot be read either
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
                rights = wanted if os.path.isdir(path) else wanted & READ_FILE
                _call(libc, LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", rights, fd), 0)
                os.close(fd)
        _prctl(libc, PR_SET_NO_NEW_PRIVS, 1)
        return _call(libc, LANDLOCK_RESTRICT, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def filter_calls() -> bool:
    """seccomp, in every thread that there is: no system call but those of computing; False where there is none."""
    column, architecture = MACHINES.get(platform.machine(), (0, 0))
    if not architecture or sys.byteorder != "little" or sys.maxsize < 2**32:
        return False
    program = _filter(column, architecture, os.getpid())
    libc = ctypes.CDLL(None, use_errno=True)
    _prctl(libc, PR_SET_NO_NEW_PRIVS, 1)
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    number = SECCOMP[column]
    assert number is not None
    return _call(libc, number, 1, 1, head) == 0  # a filter, for all threads


def limit(memory: int, seconds: float) -> None:
    """Bounds that the kernel keeps: `memory` bytes of address space in all, processor time, and no file written."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    time = int(used.ru_utime + used.ru_stime + seconds * (os.cpu_count() or 1)) + 2
    bounds = {
        resource.RLIMIT_AS: memory, resource.RLIMIT_CPU: time, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 256,
    }  # fmt: skip
    for which, bound in bounds.items():
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(which, (bound, bound))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root keeps its name and loses its powers."""
    column, architecture = MACHINES.get(platform.machine(), (0, 0))
    number = CAPSET[column]
    if architecture and number is not None:
        _call(libc, number, struct.pack("=Ii", 0x20080522, 0), bytes(24))


def _filter(column: int, architecture: int, pid: int) -> bytes:
    """The program that decides about a system call by its number and, for a few, by an argument."""
    load, equal, both, verdict = 0x20, 0x15, 0x45, 0x06  # BPF: load a word; jump if equal, if bits are set; return
    allow, refuse = 0x7FFF0000, 0x00050000 | EPERM
    low = [16 + 8 * i for i in range(6)]  # the low halves of the arguments; the number is at 0, the architecture at 4
    code: list[tuple[int, int, int, int]] = []

    def emit(what: int, k: int, yes: int = 0, no: int = 0) -> None:
        code.append((what, yes, no, k))

    def rule(call: tuple[int | None, int | None], *tests: tuple[int, int, int, int]) -> None:
        """For this call run `tests`, which must end with a verdict."""
        number = call[column]
        if number is not None:
            emit(equal, number, 0, len(tests))
            code.extend(tests)

    def one_of(argument: int, values: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
        checks = [(equal, len(values) - i, 0, value) for i, value in enumerate(values)]
        return [(load, 0, 0, low[argument]), *checks, (verdict, 0, 0, refuse), (verdict, 0, 0, allow)]

    def without(argument: int, bits: int, error: int) -> list[tuple[int, int, int, int]]:
        no = (verdict, 0, 0, 0x00050000 | error)
        return [(load, 0, 0, low[argument]), (both, 0, 1, bits), no, (verdict, 0, 0, allow)]

    emit(load, 4)
    emit(equal, architecture, 1, 0)
    emit(verdict, 0x80000000)  # a system call by another architecture's door: the process ends
    emit(load, 0)
    for call in ALLOWED.values():
        rule(call, (verdict, 0, 0, allow))
    rule(OPENAT, *without(2, OPEN_TO_WRITE, EACCES))
    rule(OPEN, *without(1, OPEN_TO_WRITE, EACCES))
    rule(
        CLONE, (load, 0, 0, low[0]), (both, 0, 1, CLONE_NEW), (verdict, 0, 0, refuse), (both, 1, 0, CLONE_THREAD),
        (verdict, 0, 0, refuse), (verdict, 0, 0, allow),
    )  # fmt: skip
    rule(CLONE3, (verdict, 0, 0, 0x00050000 | ENOSYS))  # its flags lie in memory; the C library falls back to clone
    rule(FCNTL, *one_of(1, FCNTL_COMMANDS))
    rule(IOCTL, *one_of(1, IOCTL_REQUESTS))
    rule(PRCTL, *one_of(0, (PR_SET_NAME, PR_GET_NAME, PR_SET_VMA)))
    rule(TGKILL, *one_of(0, (pid,)))  # itself, as `abort` does
    new = low[2]  # of a limit: reading is allowed, so the pointer to a new one must be null
    rule(
        PRLIMIT, (load, 0, 0, new), (equal, 0, 2, 0), (load, 0, 0, new + 4), (equal, 1, 0, 0),
        (verdict, 0, 0, refuse), *one_of(0, (0, pid)),
    )  # fmt: skip
    emit(verdict, refuse)
    return b"".join(struct.pack("=HBBI", what, yes, no, k) for what, yes, no, k in code)


def _prctl(libc: ctypes.CDLL, option: int, value: int) -> None:
    libc.prctl(*(ctypes.c_ulong(x) for x in (option, value, 0, 0, 0)))


def _call(libc: ctypes.CDLL, number: int, *args: int | bytes | None) -> int:
    """A system call by its number: what it returns, or -1."""
    return int(libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args)))
