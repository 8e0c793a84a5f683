/* The first process of a sandbox (docs/internals.md, "A sandbox").
 *
 * It starts programs when the runtime asks, reaps whatever ends, and says how what it has started did.  On request
 * it ends all others; when the runtime goes away it ends itself, and the kernel all others.  It is the sandbox's own
 * user, under the sandbox's filter, with nothing but its socket open: it has nothing to lose to what it starts, which
 * cannot trace it (it is not dumpable) nor signal it (the first process of a pid namespace has no default actions).
 */

#define PROGRAM_LIMIT 1024 /* that run at the same time; each costs a descriptor */
#define CLONE_PIDFD_FLAG 0x1000
#define WNOHANG_FLAG 1
#define MSG_CTRUNC_FLAG 8
#define MSG_CMSG_CLOEXEC_FLAG 0x40000000
#define SA_RESTORER_FLAG 0x04000000ul

static long load(struct init *c, int fd);
static void run(struct init *c);

/* What the runtime asks for. */
enum { START = 1, END_ALL, END_GROUP };

/* The descriptors that come with a request to start a program. */
enum { WITH_TALK, WITH_REPORT, WITH_PROGRAM, WITH_STDIN, WITH_STDOUT, WITH_STDERR, WITH_COUNT };

struct started {
	int pid, report;
};

/* What is running now; the first `count` are in use. */
struct hold {
	u32 count;
	struct started programs[PROGRAM_LIMIT];
};

/* The start of struct rusage, as wait4 fills it: longs, the times in seconds and microseconds. */
struct usage {
	long user[2], system[2], max_rss_kib, rest[13];
};

/* What is said about a program that has ended. */
struct report {
	int status, pad;
	long user[2], system[2], max_rss_kib;
};

#if defined(__x86_64__)
/* Where the kernel returns to from a signal handler; nothing else here does. */
static __attribute__((naked)) void restore_from_signal(void)
{
	__asm__ volatile("mov $15, %eax\n\tsyscall"); /* rt_sigreturn */
}
#endif

static void wake(int signal)
{
	(void)signal;
}

/* SIGCHLD is blocked but while ppoll sleeps, so that none comes between a look and the sleep. */
static long watch_children(struct init *c)
{
	struct signal_action action = {.handler = (unsigned long)wake};
	const u64 blocked = 1ull << (SIGCHLD_NUMBER - 1);
#if defined(__x86_64__)
	action.flags = SA_RESTORER_FLAG;
	action.restorer = (unsigned long)restore_from_signal;
#endif
	TRY(c, sys(rt_sigaction, SIGCHLD_NUMBER, &action, NULL, 8), "hold: sigaction");
	return TRY(c, sys(rt_sigprocmask, 2 /* SIG_SETMASK */, &blocked, NULL, 8), "hold: sigprocmask");
}

/* Reaps one child; false when there is none, or with WNOHANG none that has ended. */
static bool reap(struct hold *h, int flags)
{
	struct report report = {0};
	struct usage usage = {0};
	long pid;
	do
		pid = sys(wait4, -1, &report.status, flags, &usage);
	while (pid == -EINTR);
	for (u32 i = 0; pid > 0 && i < h->count; i++)
		if (h->programs[i].pid == pid) {
			memcpy(report.user, usage.user, sizeof report.user);
			memcpy(report.system, usage.system, sizeof report.system);
			report.max_rss_kib = usage.max_rss_kib;
			/* Nobody may read it any more; the first process of a namespace does not die of SIGPIPE. */
			retry_write(h->programs[i].report, &report, sizeof report);
			sys(close, h->programs[i].report);
			h->programs[i] = h->programs[--h->count];
			break;
		}
	return pid > 0;
}

/* Nobody escapes by forking: the kernel fails a fork with a fatal signal pending.  What has lost its parent is our
 * child by the time that this one is reaped, so without a child of ours there is nobody. */
static void end_all(struct init *c, struct hold *h, int number)
{
	sys(kill, -1, SIGKILL_NUMBER);
	while (reap(h, 0))
		;
	retry_write(c->sock, &number, sizeof number);
}

/* In the new process: its own program, told and failing to its own socket. */
static _Noreturn void become(struct init *c, const int *fds)
{
	const u64 none = 0;
	long done = 0;
	c->sock = fds[WITH_TALK];
	for (int i = 0; done >= 0 && i < 3; i++)
		done = sys(dup3, fds[WITH_STDIN + i], i, 0);
	if (done >= 0)
		done = load(c, fds[WITH_PROGRAM]);
	if (done < 0)
		give_up(c, -done);
	close_from(3, c->sock);
	sys(rt_sigprocmask, 2 /* SIG_SETMASK */, &none, NULL, 8);
	run(c);
	end(0);
}

/* Tells the runtime on the socket that came with its request. */
static long answer(struct init *c, int sock, u32 kind, long value, int fd)
{
	const int own = c->sock;
	long sent;
	c->sock = sock;
	sent = send_message(c, kind, (u32)value, 0, fd);
	c->sock = own;
	return sent;
}

static void refuse(struct init *c, int sock, long error, const char *why)
{
	const int own = c->sock;
	c->sock = sock;
	add(&c->detail, why);
	tell(c, MSG_FAILED, 0, error);
	c->sock = own;
}

static void start_program(struct init *c, struct hold *h, int *fds)
{
	int pidfd = -1;
	/* Not clone3, which usual filters refuse since they cannot see its flags. */
	long pid = -EMFILE;
	if (h->count < PROGRAM_LIMIT)
		pid = sys(clone, CLONE_PIDFD_FLAG | SIGCHLD_NUMBER, NULL, &pidfd, NULL, NULL);
	if (pid == 0)
		become(c, fds);
	if (pid < 0) {
		refuse(c, fds[WITH_TALK], -pid, pid == -EMFILE ? "too many programs" : "fork");
		return;
	}
	long sent = answer(c, fds[WITH_TALK], MSG_CLONED, pid, pidfd);
	sys(close, pidfd);
	if (sent < 0) {
		/* Nobody could end or collect what nobody knows of.  ETOOMANYREFS: the kernel counts the descriptors on
		 * their way for each user of the host, and so those of all sandboxes together. */
		sys(kill, pid, SIGKILL_NUMBER);
		sys(kill, -pid, SIGKILL_NUMBER);
		refuse(c, fds[WITH_TALK], -sent, "descriptors in flight");
		return;
	}
	h->programs[h->count++] = (struct started){(int)pid, fds[WITH_REPORT]};
	fds[WITH_REPORT] = -1;
}

struct rights {
	u64 length;
	u32 level, type;
	int fds[WITH_COUNT];
};

/* What has left the group of its program is not met by this.  A program that was not reaped keeps its number. */
static void end_group(const struct hold *h, int pid)
{
	for (u32 i = 0; i < h->count; i++)
		if (h->programs[i].pid == pid) {
			sys(kill, -pid, SIGKILL_NUMBER);
			sys(kill, pid, SIGKILL_NUMBER);
		}
}

/* One request; end of file, or what is left of a runtime that died, is the end. */
static void serve(struct init *c, struct hold *h)
{
	struct {
		int what, pid;
	} request = {0};
	struct iovec part = {&request, sizeof request};
	struct rights rights = {0};
	struct message_header header = {
		.parts = &part, .part_count = 1, .control = &rights, .control_length = sizeof rights};
	long got;
	do
		got = sys(recvmsg, c->sock, &header, MSG_CMSG_CLOEXEC_FLAG);
	while (got == -EINTR);
	if (got <= 0)
		end(0);
	const u64 head = sizeof rights - sizeof rights.fds;
	u64 given = header.control_length >= head ? (rights.length - head) / sizeof(int) : 0;
	if (request.what == START && given == WITH_COUNT)
		start_program(c, h, rights.fds);
	else if (request.what == START && given > WITH_TALK) /* this process may have no more descriptors */
		refuse(c, rights.fds[WITH_TALK], EMFILE, "too few descriptors");
	else if (request.what == END_ALL)
		end_all(c, h, request.pid);
	else if (request.what == END_GROUP)
		end_group(h, request.pid);
	for (u64 i = 0; i < given; i++)
		if (rights.fds[i] >= 0)
			sys(close, rights.fds[i]);
}

/* Descriptors that come must not land on 0 to 2, where the new process puts its own: the socket is kept there, too. */
static long keep_socket_only(struct init *c)
{
	for (int fd = 0; fd < 3; fd++)
		if (fd != c->sock)
			TRY(c, sys(dup3, c->sock, fd, O_CLOEXEC), "hold: dup3");
	close_from(3, c->sock);
	memset(c->slots, 0, c->top * sizeof *c->slots);
	c->top = 0;
	return 0;
}

static long op_hold(struct init *c, const struct argument *a)
{
	const u64 none = 0;
	struct pollfd asked = {.fd = c->sock, .events = POLLIN};
	struct hold h;
	h.count = 0;
	(void)a;
	/* "All others" are the host's where this is not the first process of a namespace. */
	if (sys(getpid) != 1)
		return FAIL(c, -EINVAL, "hold: not the first process of a pid namespace");
	TRY(c, keep_socket_only(c), NULL);
	TRY(c, watch_children(c), NULL);
	TRY(c, send_message(c, MSG_READY, 0, 0, -1), "send READY");
	c->index = ~0u; /* what fails now is no operation of this program */
	for (;;) {
		long ready;
		while (reap(&h, WNOHANG_FLAG))
			;
		ready = sys(ppoll, &asked, 1, NULL, &none, 8);
		if (ready > 0)
			serve(c, &h);
		else if (ready != -EINTR)
			end(1);
	}
}

/* What is written there is a request to the kernel, which looks at who writes as well as at who has opened. */
static bool is_interface(long file_system)
{
	static const long magics[] = {
		PROC_MAGIC,
		0x62656572, /* sysfs */
		0x27e0eb,   /* cgroup */
		0x63677270, /* cgroup2 */
		0x64626720, /* debugfs */
		0x74726163, /* tracefs */
		0x73636673, /* securityfs */
		0x62656570, /* configfs */
		0xf97cff8c, /* selinuxfs */
		0xde5e81e4, /* efivarfs */
		0x65735543, /* fusectl */
		0x42494e4d, /* binfmt_misc */
	};
	for (u32 i = 0; i < sizeof magics / sizeof *magics; i++)
		if (magics[i] == file_system)
			return true;
	return false;
}

/* Opens with the sandbox's own eyes and rights, and hands over what was found.  No symlink of procfs that leads
 * elsewhere is taken; the flags see to it that no FIFO and no lease makes this wait. */
static long op_send_file(struct init *c, const struct argument *a)
{
	const char *path = a[A_SEND_FILE_PATH].s;
	const u32 kind = (u32)a[A_SEND_FILE_KIND].i;
	struct open_how how = {
		.flags = (u64)a[A_SEND_FILE_FLAGS].i | O_CLOEXEC,
		.mode = (u64)a[A_SEND_FILE_MODE].i,
		.resolve = RESOLVE_NO_MAGICLINKS,
	};
	struct statx st;
	long opened = sys(openat2, AT_FDCWD, path, &how, sizeof how);
	if (opened == -ENOSYS) /* so a filter that does not know it says */
		opened = sys(openat, AT_FDCWD, path, how.flags, how.mode);
	held_fd fd = (int)TRY(c, opened, "open ", path);
	TRY(c, look(fd, &st), "statx ", path);
	if (kind_of(&st) == S_IFDIR && kind != S_IFDIR)
		return FAIL(c, -EISDIR, "open ", path);
	if (kind_of(&st) != kind)
		return FAIL(c, -EINVAL, "not a regular file: ", path);
	if ((how.flags & O_ACCMODE) != O_RDONLY && is_interface(TRY(c, file_system_of(fd), "fstatfs ", path)))
		return FAIL(c, -EPERM, "an interface of the kernel: ", path);
	return TRY(c, send_message(c, MSG_FILE, 0, 0, fd), "send ", path);
}
