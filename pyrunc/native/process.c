/* The end: working directory, executable, descriptors, the wait for start, execve. */

/* getcwd tells what lies outside of / by a path that does not start with one (CVE-2024-21626). */
static long op_chdir(struct init *c, const struct argument *a)
{
	const char *path = a[A_CHDIR_PATH].s;
	char now[PATH_LIMIT];
	long done = sys(chdir, path);
	if (done == -EACCES && a[A_CHDIR_EARLY].i)
		return 0;
	TRY(c, done, "chdir ", path);
	TRY(c, sys(getcwd, now, sizeof now), "getcwd in ", path);
	return now[0] == '/' ? 0 : FAIL(c, -ENOENT, "current working directory is outside of the container: ", path);
}

/* The executable, in runc's words: engines read them. */
static long not_executable(struct init *c, const char *name, long error, const char *why)
{
	c->exit_code = error == -ENOENT ? 127 : 126;
	return error == -ENOENT && find_char(name, '/') ? FAIL(c, error, "exec: \"", name, "\": stat ", name, why)
							 : FAIL(c, error, "exec: \"", name, "\"", why);
}

static long try_executable(const char *path)
{
	struct statx st;
	long done = sys(statx, AT_FDCWD, path, 0, STATX_BASIC_STATS, &st);
	if (done)
		return done;
	if (kind_of(&st) == S_IFDIR)
		return -EISDIR;
	done = sys(faccessat2, AT_FDCWD, path, X_OK_MODE, AT_EACCESS);
	/* An old filter does not know it; real and effective ids are the same where one is on. */
	return done == -ENOSYS ? sys(faccessat, AT_FDCWD, path, X_OK_MODE) : done;
}

static long op_find_executable(struct init *c, const struct argument *a)
{
	const char *name = a[A_FIND_EXECUTABLE_NAME].s, *cursor = a[A_FIND_EXECUTABLE_PATH].s;
	if (find_char(name, '/')) {
		long done = try_executable(name);
		c->executable = name;
		if (done == 0)
			return 0;
		if (done == -ENOENT || done == -EISDIR || done == -EACCES)
			return not_executable(c, name, done, done == -ENOENT   ? ": no such file or directory"
							    : done == -EISDIR ? ": is a directory: permission denied"
									      : ": permission denied");
		c->exit_code = 126;
		FAIL(c, done, "exec: \"", name, "\": stat ", name, ": ");
		add_error(&c->detail, -done);
		return done;
	}
	for (u32 i = 0; *name && i < a[A_FIND_EXECUTABLE_PATH].n; i++) {
		struct text path = text_in(c->executable_text, sizeof c->executable_text);
		const char *directory = next_string(&cursor);
		if (strlen(directory) + strlen(name) + 3 > path.limit)
			continue;
		add(&path, *directory ? directory : ".");
		add(&path, "/");
		add(&path, name);
		if (try_executable(path.at) == 0) {
			c->executable = path.at;
			return 0;
		}
	}
	return not_executable(c, name, -ENOENT, ": executable file not found in $PATH");
}

/* What pyrunc-init opened for itself must not pass for one of the caller's. */
static bool is_own(const struct init *c, int fd)
{
	for (u32 i = 0; i < c->top; i++)
		if (c->slots[i].held == fd + 1)
			return true;
	return fd == c->sock || fd == c->fifo;
}

static long op_preserve_fds(struct init *c, const struct argument *a)
{
	TRY(c, sys(close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC_FLAG), "close_range");
	for (int fd = 3; fd < 3 + a[A_PRESERVE_FDS_COUNT].i; fd++) {
		char number[24];
		struct text t = text_in(number, sizeof number);
		add_number(&t, fd);
		long done = is_own(c, fd) ? -EBADF : sys(fcntl, fd, F_SETFD, 0);
		TRY(c, done, "preserve descriptor ", number);
	}
	c->preserved = a[A_PRESERVE_FDS_COUNT].i;
	return 0;
}

static long op_close_slots(struct init *c, const struct argument *a)
{
	for (u32 slot = 0; slot < c->top; slot++) {
		bool kept = false;
		for (u32 i = 0; i < a[A_CLOSE_SLOTS_KEEP].n; i++)
			kept |= number_at(&a[A_CLOSE_SLOTS_KEEP], i) == (i64)slot;
		if (!kept)
			close_slot(c, slot);
	}
	return 0;
}

static void leave_by_signal(int signal)
{
	end(128 + signal);
}

/* The first process of a pid namespace ignores what it has no handler for; a created container can be ended. execve
 * sets the default again. */
static void end_on_signals(void)
{
	static const int signals[] = {1 /* SIGHUP */, 2 /* SIGINT */, 3 /* SIGQUIT */, 15 /* SIGTERM */};
	struct signal_action action = {.handler = (unsigned long)leave_by_signal};
	/* Without SA_RESTORER the x86 kernel kills instead of calling; what restores is never reached. */
	action.flags = 0x04000000;
	action.restorer = (unsigned long)leave_by_signal;
	for (u32 i = 0; i < sizeof signals / sizeof *signals; i++)
		sys(rt_sigaction, signals[i], &action, NULL, 8);
}

/* A container that nobody has noted down is none: with the runtime's answer the state says "created". */
static long op_ready(struct init *c, const struct argument *a)
{
	u8 byte;
	long got;
	(void)a;
	if (c->program.waits)
		end_on_signals();
	TRY(c, send_message(c, MSG_READY, 0, 0, -1), "send READY");
	if (!c->program.waits)
		return 0;
	got = retry_read(c->sock, &byte, 1);
	/* Whoever goes leaves messages unread, perhaps. Any other error is a filter's, which forbids to read. */
	if (got == 0 || got == -ECONNRESET)
		end(1);
	sys(close, c->sock);
	c->sock = -1;
	return 0;
}

/* Blocks in open until `start` opens the other end. */
static long op_wait_start(struct init *c, const struct argument *a)
{
	char buffer[32];
	struct text path = text_in(buffer, sizeof buffer);
	long proc = TRY(c, slot_fd(c, SLOT_PROC, "PROC"), NULL), fifo = TRY(c, slot_fd(c, SLOT_FIFO, "FIFO"), NULL), fd;
	(void)a;
	add(&path, "self/fd/");
	add_number(&path, fifo);
	do
		fd = sys(openat, proc, path.at, O_WRONLY | O_CLOEXEC);
	while (fd == -EINTR);
	c->fifo = (int)TRY(c, fd, "open the exec FIFO");
	/* That `start` has died since is no reason not to start. */
	write_fifo(c, "0", 1);
	return 0;
}

static long op_execve(struct init *c, const struct argument *a)
{
	const struct argument *args = &a[A_EXECVE_ARGS];
	const char **argv = pointers_to(args, c->pointers);
	const char **envp = pointers_to(&a[A_EXECVE_ENV], argv + args->n + 1);
	if (c->home) {
		envp[a[A_EXECVE_ENV].n] = c->home;
		envp[a[A_EXECVE_ENV].n + 1] = NULL;
	}
	const char *path = c->executable ? c->executable : args->n ? argv[0] : "";
	close_from(3 + (int)c->preserved, c->sock >= 0 ? c->sock : c->fifo);
	long error = sys(execve, path, argv, envp);
	FAIL(c, error, "exec ", path, ": ");
	add_error(&c->detail, -error);
	c->exit_code = error == -ENOENT ? 127 : 126;
	return error;
}
