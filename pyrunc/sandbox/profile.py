"""The system calls of a box: the table behind its ``linux.seccomp``, and the reason for each group.

An allow-list.  A call that is in no group, or whose arguments no rule allows, fails with EPERM; a call that is newer
than this table fails with ENOSYS, because the runtime answers so above the highest number that a profile names
(``pyrunc.host.enosys``; runc does the same).  C libraries fall back on ENOSYS and give up on EPERM, so what they try
first and can do without is in ``ABSENT``.

For x86-64 and arm64, the native ABI alone: x32 and 32-bit programs are killed.  socketcall(2) and ipc(2) of the
latter take their arguments by pointer, where a filter cannot look.

The filter is the second wall.  A box has no capability either way; this keeps it from code of the kernel that a
program without any can reach.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.spec.types import Seccomp, SeccompArg, SeccompRule

    #: why, and the names
    Group = tuple[str, tuple[str, ...]]

ENOSYS = 38


def _table(text: str) -> tuple[Group, ...]:
    """A line says why; the indented ones behind it are the names."""
    groups: list[list[str]] = []
    for line in text.strip("\n").split("\n"):
        if line.startswith(" "):
            groups[-1] += line.split()
        else:
            groups.append([line])
    return tuple([(why, tuple(names)) for why, *names in groups])


#: What ordinary programs are made of.
ALLOWED = _table("""
files by descriptor: what may be done was settled when it was opened
    read write close lseek readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 dup dup2 dup3
    close_range flock fsync fdatasync sync_file_range sync syncfs ftruncate fallocate fadvise64 readahead
    fstat fstatfs getdents getdents64 fchmod fchown fchdir cachestat
files by path: the mount namespace, owners and modes decide
    open openat openat2 creat access faccessat faccessat2 stat lstat newfstatat statx statfs truncate rename
    renameat renameat2 link linkat symlink symlinkat readlink readlinkat unlink unlinkat mkdir mkdirat rmdir
    chmod fchmodat fchmodat2 chown lchown fchownat utime utimes utimensat futimesat chdir getcwd umask
extended attributes: user.* and ACLs; the other names need capabilities
    setxattr lsetxattr fsetxattr setxattrat getxattr lgetxattr fgetxattr getxattrat listxattr llistxattr
    flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat file_getattr file_setattr
data from one descriptor to another
    pipe pipe2 sendfile splice tee vmsplice copy_file_range
waiting for descriptors, and descriptors to wait for
    poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
    eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_gettime inotify_init
    inotify_init1 inotify_add_watch inotify_rm_watch
memory of the process itself; compilers at run time (Node, Java) need all of it
    brk mmap munmap mremap mprotect msync mincore madvise mlock mlock2 mlockall munlock munlockall
    memfd_create mseal pkey_alloc pkey_free pkey_mprotect map_shadow_stack membarrier
on which node of a NUMA machine the process's own memory is
    get_mempolicy set_mempolicy mbind set_mempolicy_home_node
threads and their locks
    futex futex_waitv futex_wake futex_wait futex_requeue set_robust_list get_robust_list set_tid_address rseq
    arch_prctl getcpu sched_yield restart_syscall
processes: without namespaces, which only clone and unshare could ask for (see the rules)
    fork vfork execve execveat exit exit_group wait4 waitid pidfd_open pidfd_send_signal prctl
signals: the pid namespace says to whom
    kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigqueueinfo
    rt_tgsigqueueinfo rt_sigsuspend rt_sigreturn sigaltstack pause
who the process is; without capabilities there is nobody else to become
    getpid gettid getppid getpgrp getpgid setpgid getsid setsid getuid geteuid getresuid getgid getegid
    getresgid getgroups setuid setreuid setresuid setfsuid setgid setregid setresgid setfsgid setgroups capget
    capset
limits and scheduling within what the box was given; who may be changed is said by the rules
    getrlimit setrlimit getrusage times getpriority ioprio_get sched_getattr sched_getparam sched_getscheduler
    sched_getaffinity sched_get_priority_max sched_get_priority_min sched_rr_get_interval
reading clocks, and timers of the process itself
    time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep alarm getitimer setitimer
    timer_create timer_settime timer_gettime timer_getoverrun timer_delete
sockets that exist already: which ones can is said by the rules for socket and socketpair
    bind connect listen accept accept4 shutdown sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg getsockname
    getpeername getsockopt setsockopt
System V and POSIX message queues, semaphores and shared memory: the ipc namespace is the box's own
    msgget msgsnd msgrcv msgctl semget semop semtimedop semctl shmget shmat shmdt shmctl mq_open mq_unlink
    mq_timedsend mq_timedreceive mq_notify mq_getsetattr
restraining oneself further: a sandbox in the box
    seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
facts about the system, and random numbers
    uname sysinfo getrandom
what a probe of the host's tracing has a program call, which would die of a refusal
    uretprobe uprobe
""")

#: What a program in a box has no business with: EPERM.
DENIED = _table("""
the tree of mounts, by the old calls and by the new ones
    mount umount2 pivot_root chroot open_tree open_tree_attr move_mount mount_setattr fsopen fsconfig fsmount
    fspick
other namespaces
    setns
the memory, descriptors and order of other processes; with debug=True a debugger may
    ptrace process_vm_readv process_vm_writev pidfd_getfd process_madvise process_mrelease kcmp move_pages
    migrate_pages
key rings: not divided by namespaces, and their quota is the host's
    add_key request_key keyctl
large and much attacked parts of the kernel that ordinary programs do without
    bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register
files by handle or event, past the tree that the box sees
    name_to_handle_at open_by_handle_at fanotify_init fanotify_mark lookup_dcookie
the kernel itself: its modules, its successor, its log, its end
    init_module finit_module delete_module kexec_load kexec_file_load reboot syslog
clocks, which all boxes share
    clock_settime settimeofday adjtimex clock_adjtime
swap, quotas, accounting, ports, terminals, names: the administrator's
    swapon swapoff quotactl quotactl_fd acct iopl ioperm vhangup sethostname setdomainname
""")

#: As if the kernel did not have it: ENOSYS.
ABSENT = _table("""
its flags are behind a pointer, unseen by a filter; C libraries go on with clone
    clone3
asynchronous I/O by the old interface: its number of requests is limited for the whole host together
    io_setup io_destroy io_getevents io_pgetevents io_submit io_cancel
what programs try and replace by /proc
    statmount listmount listns
labels of security modules
    lsm_get_self_attr lsm_set_self_attr lsm_list_modules
memory that nobody can look into, the kernel neither
    memfd_secret
for programs of 16 and 32 bits
    modify_ldt set_thread_area get_thread_area
gone or never there, or replaced so long ago that nobody asks
    remap_file_pages uselib ustat sysfs _sysctl create_module get_kernel_syms query_module nfsservctl getpmsg
    putpmsg afs_syscall tuxcall security epoll_ctl_old epoll_wait_old vserver
""")

#: Moved from DENIED to what is allowed by ``debug=True``: gdb and strace inside the box, for its processes.
DEBUG = "ptrace process_vm_readv process_vm_writev"

# linux/sched.h
_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_NEW_TIME = 0x00000080  # for clone, a part of the exit signal
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16  # linux/socket.h
_STREAM, _DATAGRAM, _TYPES = 1, 2, 0xF  # linux/net.h: the rest of a type is SOCK_NONBLOCK and SOCK_CLOEXEC
_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58  # linux/in.h
_NETLINK_ROUTE = 0
_F_SETLEASE = 1024  # linux/fcntl.h
_PRIO_PROCESS = 0  # linux/resource.h
_IOPRIO_WHO_PROCESS = 1  # linux/ioprio.h
#: Calls whose first argument is the pid of whom they change.
_OF_PIDS = ("prlimit64", "sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity")
_FILE_TYPE = 0o170000
_FIFO, _REGULAR, _SOCKET = 0o010000, 0o100000, 0o140000
#: personality(2): asking, the default, uname's machine for 32 bits (setarch), and both without address randomisation
_PERSONALITIES = (0xFFFFFFFF, 0x0, 0x8, 0x40000, 0x40008)
#: asm-generic/ioctls.h: TIOCSTI and TIOCLINUX type into somebody's terminal, TIOCSETD loads a line discipline
TERMINAL_IOCTLS = (0x5412, 0x541C, 0x5423)


#: debug -> the profile; made at the first call for it
_made: dict[bool, Seccomp] = {}


def default(*, debug: bool = False) -> Seccomp:
    """``linux.seccomp`` of a box.

    The same object at each call, which nobody changes: what is derived from it (its check, its text, its program) can
    be kept by identity, and costs a program that makes many boxes nothing.
    """
    made = _made.get(debug)
    if made is None:
        made = _made[debug] = _make(debug)
    return made


def _make(debug: bool) -> Seccomp:
    allowed = _names(ALLOWED)
    denied = _names(DENIED)
    if debug:
        moved = DEBUG.split()
        allowed += moved
        denied = [name for name in denied if name not in moved]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {"names": allowed, "action": "SCMP_ACT_ALLOW"},
            *conditions(),
            # The default does this anyway; but whoever reads the config sees what was thought of.
            {"names": denied, "action": "SCMP_ACT_ERRNO"},
            {"names": _names(ABSENT), "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
        ],
    }


def _names(groups: tuple[Group, ...]) -> list[str]:
    return [name for _, names in groups for name in names]


def conditions() -> Iterator[SeccompRule]:
    """Calls that depend on their arguments.  Each rule allows; what none of them allows is denied.

    The kernel takes most of these arguments as 32 bits, whatever stands in the upper half of the register: a rule
    that asks for the whole value only denies more, and one that excludes a value has to mask (CVE-2019-10063).
    """
    yield _allow("clone", _masked(0, _NAMESPACES, 0))
    yield _allow("unshare", _masked(0, _NAMESPACES | _NEW_TIME, 0))
    for value in _PERSONALITIES:
        yield _allow("personality", _equal(0, value))
    # Nodes of devices are what the box was given in /dev, and no others.
    for call, index in (("mknod", 1), ("mknodat", 2)):
        for kind in (0, _REGULAR, _FIFO, _SOCKET):
            yield _allow(call, _masked(index, _FILE_TYPE, kind))
    yield from _sockets()
    yield from _scheduling()
    # A lease on a file that the host shares keeps the host's own open(2) waiting.
    for mask, value in parted((_F_SETLEASE,)):
        yield _allow("fcntl", _masked(1, mask, value))
    for mask, value in parted(TERMINAL_IOCTLS):
        yield _allow("ioctl", _masked(1, mask, value))


def _sockets() -> Iterator[SeccompRule]:
    """Local ones, TCP, UDP, ping, and the list of interfaces and addresses.

    Every other family or protocol is a module that the kernel would load for the asking: AF_VSOCK leads to the
    hypervisor, AF_ALG to drivers, SCTP and the like have had the kernel's worst errors.
    """
    yield _allow("socket", _equal(0, _AF_UNIX))
    yield _allow("socketpair", _equal(0, _AF_UNIX))
    for family, ping in ((_AF_INET, _ICMP), (_AF_INET6, _ICMPV6)):
        for kind, protocols in ((_STREAM, (0, _TCP)), (_DATAGRAM, (0, _UDP, ping))):
            for protocol in protocols:
                yield _allow("socket", _equal(0, family), _masked(1, _TYPES, kind), _equal(2, protocol))
    yield _allow("socket", _equal(0, _AF_NETLINK), _equal(2, _NETLINK_ROUTE))


def _scheduling() -> Iterator[SeccompRule]:
    """Limits, priority and processors of anybody but the first process of the box, and of no group or user.

    That one is of the same user, and what is done to it is inherited by every later program.  Threads are named by
    their numbers here (pthread_setaffinity_np(3)), so that 0 alone would not do.
    """
    for mask, value in parted((1,)):
        for call in _OF_PIDS:
            yield _allow(call, _masked(0, mask, value))
        yield _allow("setpriority", _equal(0, _PRIO_PROCESS), _masked(1, mask, value))
        yield _allow("ioprio_set", _equal(0, _IOPRIO_WHO_PROCESS), _masked(1, mask, value))


def parted(values: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """(mask, value) pairs that together match every 32-bit number but ``values``, and each number once.

    libseccomp has "not equal" only for whole registers, of which the kernel may ignore the upper half, and cannot ask
    twice about one argument.  So: the numbers that part from all of ``values`` at some bit, from the top down.
    """
    for bit in range(31, -1, -1):
        mask = (0xFFFFFFFF << bit) & 0xFFFFFFFF
        kept = {value & mask for value in values}
        for prefix in sorted({value ^ 1 << bit for value in kept} - kept):
            yield mask, prefix


def _allow(name: str, *args: SeccompArg) -> SeccompRule:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": list(args)}


def _equal(index: int, value: int) -> SeccompArg:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}


def _masked(index: int, mask: int, value: int) -> SeccompArg:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
