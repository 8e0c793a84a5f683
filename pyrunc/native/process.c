/* Processes, namespaces, terminals, hooks, and the end: execve. */

#define FROM_PROC "/proc/"

static long write_file(int directory, const char *path, const char *value)
{
	u64 n = strlen(value);
	long put;
	held_fd fd = (int)sys(openat, directory, path, O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	put = retry_write(fd, value, n);
	return put < 0 ? put : (u64)put == n ? 0 : -EIO;
}

static long wait_for(int pidfd, struct siginfo_status *status)
{
	long done;
	do
		done = sys(waitid, P_PIDFD_NUMBER, pidfd, status, WEXITED_FLAG, NULL);
	while (done == -EINTR);
	return done;
}

static long write_maps(struct init *c, struct text *path, const char *uid, const char *gid)
{
	u32 base = path->used;
	add(path, "/setgroups"); /* without privileges the kernel takes no gid_map before this */
	TRY(c, write_file(AT_FDCWD, path->at, "deny"), "write ", path->at);
	path->used = base;
	add(path, "/uid_map");
	TRY(c, write_file(AT_FDCWD, path->at, uid), "write ", path->at);
	path->used = base;
	add(path, "/gid_map");
	TRY(c, write_file(AT_FDCWD, path->at, gid), "write ", path->at);
	path->used = base;
	add(path, "/ns/user");
	return TRY(c, sys(openat, AT_FDCWD, path->at, O_RDONLY | O_CLOEXEC), "open ", path->at);
}

/* The child lives as long as the pipe's other end: it cannot outlive this process. */
static long op_userns(struct init *c, const struct argument *a)
{
	int ends[2], pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_PIDFD, .pidfd = (u64)(unsigned long)&pidfd, .exit_signal = SIGCHLD_NUMBER};
	struct siginfo_status status;
	char buffer[64];
	struct text path = text_in(buffer, sizeof buffer);
	long child, ns;
	TRY(c, sys(pipe2, ends, O_CLOEXEC), "pipe");
	child = sys(clone3, &args, sizeof args);
	if (child == 0) {
		u8 byte;
		sys(close, ends[1]);
		retry_read(ends[0], &byte, 1);
		end(0);
	}
	held_fd ended = child < 0 ? -1 : pidfd;
	sys(close, ends[0]);
	if (child > 0) {
		add(&path, FROM_PROC);
		add_number(&path, child);
	}
	ns = child < 0 ? FAIL(c, child, "clone3 a user namespace") : write_maps(c, &path, a[A_USERNS_UID].s, a[A_USERNS_GID].s);
	sys(close, ends[1]);
	if (child > 0)
		wait_for(ended, &status);
	return ns < 0 ? ns : fill(c, a[A_USERNS_SLOT].i, ns, "id mappings");
}

static long op_join_cgroup(struct init *c, const struct argument *a)
{
	const char *path = a[A_JOIN_CGROUP_PATH].s;
	return TRY(c, write_file(AT_FDCWD, path, "0"), "write ", path);
}

/* The verifier's last line says why; its log is asked for only then. */
static void add_verifier_log(struct init *c, union bpf_attr *load)
{
	const u32 size = 1 << 18;
	long where = sys(mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *log = (char *)where, *last;
	if (where < 0)
		return;
	load->log_buf = (u64)where;
	load->log_size = size;
	load->log_level = 1;
	long loaded = sys(bpf, BPF_PROG_LOAD, load, sizeof *load);
	if (loaded >= 0) /* the first time it was refused for something that has passed */
		sys(close, loaded);
	for (u64 n = strlen(log); n && log[n - 1] == '\n'; n--)
		log[n - 1] = 0;
	for (last = log + strlen(log); last > log && last[-1] != '\n';)
		last--;
	if (*last) {
		add(&c->detail, ": ");
		add(&c->detail, last);
	}
}

static long op_device_filter(struct init *c, const struct argument *a)
{
	const char *path = a[A_DEVICE_FILTER_PATH].s;
	const struct argument *program = &a[A_DEVICE_FILTER_PROGRAM];
	union bpf_attr load, attach;
	memset(&load, 0, sizeof load);
	memset(&attach, 0, sizeof attach);
	load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	load.insns = (u64)(unsigned long)program->s;
	load.insn_cnt = program->n / sizeof(struct bpf_insn);
	load.license = (u64)(unsigned long)"Apache";
	held_fd cgroup = (int)TRY(c, sys(openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open ", path);
	held_fd filter = (int)sys(bpf, BPF_PROG_LOAD, &load, sizeof load);
	if (filter < 0) {
		FAIL(c, filter, "load the device filter");
		add_verifier_log(c, &load);
		return filter;
	}
	attach.target_fd = (u32)cgroup;
	attach.attach_bpf_fd = (u32)filter;
	attach.attach_type = BPF_CGROUP_DEVICE;
	attach.attach_flags = BPF_F_ALLOW_MULTI;
	return TRY(c, sys(bpf, BPF_PROG_ATTACH, &attach, sizeof attach), "attach the device filter to ", path);
}

/* A namespace may be reachable only from within another that is to be joined: hence the rounds. */
static long op_join_namespaces(struct init *c, const struct argument *a)
{
	const struct argument *slots = &a[A_JOIN_NAMESPACES_SLOTS], *types = &a[A_JOIN_NAMESPACES_TYPES];
	u64 joined = 0;
	u32 left = slots->n;
	if (slots->n != types->n || slots->n > 64)
		return FAIL(c, -EINVAL, "namespaces and types do not match");
	while (left) {
		const u32 before = left;
		const char *refused = "";
		for (u32 i = 0; i < slots->n; i++) {
			i64 slot = number_at(slots, i);
			long done;
			if (joined >> i & 1)
				continue;
			done = sys(setns, TRY(c, slot_fd(c, slot, "namespace"), NULL), number_at(types, i));
			if (done == 0) {
				joined |= 1ull << i;
				left--;
			} else if (done == -EPERM) {
				refused = path_of(c, slot);
			} else {
				return FAIL(c, done, "setns ", path_of(c, slot));
			}
		}
		if (left == before)
			return FAIL(c, -EPERM, "setns ", refused);
	}
	return 0;
}

static long op_join_pidfd(struct init *c, const struct argument *a)
{
	long fd = TRY(c, slot_fd(c, a[A_JOIN_PIDFD_SLOT].i, "pidfd"), NULL);
	return TRY(c, sys(setns, fd, a[A_JOIN_PIDFD_TYPES].i), "setns ", path_of(c, a[A_JOIN_PIDFD_SLOT].i));
}

/* The new process waits until the runtime has been told of it, so that its own messages come later; when
 * the host stage dies before, it goes too. */
static long op_clone(struct init *c, const struct argument *a)
{
	int ends[2], pidfd = -1;
	struct clone_args args = {
		.flags = (u64)a[A_CLONE_FLAGS].i | CLONE_PARENT | CLONE_PIDFD,
		.pidfd = (u64)(unsigned long)&pidfd,
	};
	u8 byte = 0;
	long child;
	if (a[A_CLONE_CGROUP].i >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (u64)TRY(c, slot_fd(c, a[A_CLONE_CGROUP].i, "cgroup"), NULL);
	}
	TRY(c, sys(pipe2, ends, O_CLOEXEC), "pipe");
	child = TRY(c, sys(clone3, &args, sizeof args), "clone3");
	if (child == 0) {
		sys(close, ends[1]);
		if (retry_read(ends[0], &byte, 1) != 1)
			end(1);
		sys(close, ends[0]);
		return 0;
	}
	long sent = send_message(c, MSG_CLONED, (u32)child, 0, pidfd);
	if (sent < 0) {
		sys(pidfd_send_signal, pidfd, SIGKILL_NUMBER, NULL, 0);
		end(1);
	}
	retry_write(ends[1], &byte, 1);
	end(0);
}

static long op_sync(struct init *c, const struct argument *a)
{
	(void)a;
	TRY(c, send_message(c, MSG_SYNC, 0, 0, -1), "send SYNC");
	wait_for_runtime(c);
	return 0;
}

static long op_unshare(struct init *c, const struct argument *a)
{
	return TRY(c, sys(unshare, a[A_UNSHARE_FLAGS].i), "unshare");
}

static long op_open_proc(struct init *c, const struct argument *a)
{
	held_fd fd = (int)TRY(c, sys(openat, AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), "open /proc");
	long given;
	if (file_system_of(fd) != PROC_MAGIC)
		return FAIL(c, -ENODEV, "/proc is not a procfs");
	given = fd;
	fd = -1;
	return fill(c, a[A_OPEN_PROC_SLOT].i, given, "/proc");
}

/* No symlink is taken but `self`, and that one is read here; nothing mounted over it is entered
 * (CVE-2025-52881). */
static long open_in_proc(struct init *c, const char *path, u64 flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	char buffer[PATH_LIMIT];
	long proc = TRY(c, slot_fd(c, SLOT_PROC, "PROC"), NULL), n;
	if (starts_with(path, "self/")) {
		n = TRY(c, sys(readlinkat, proc, "self", buffer, 16), "readlink self");
		struct text own = {buffer, (u32)n, sizeof buffer};
		add(&own, path + 4);
		return sys(openat2, proc, buffer, &how, sizeof how);
	}
	return sys(openat2, proc, path, &how, sizeof how);
}

static long op_proc_write(struct init *c, const struct argument *a)
{
	const char *path = a[A_PROC_WRITE_PATH].s;
	held_fd fd = (int)TRY(c, open_in_proc(c, path, O_WRONLY), "open /proc/", path);
	long put = TRY(c, retry_write(fd, a[A_PROC_WRITE_VALUE].s, a[A_PROC_WRITE_VALUE].n), "write /proc/", path);
	return put == a[A_PROC_WRITE_VALUE].n ? 0 : FAIL(c, -EIO, "write /proc/", path);
}

static long op_enter_time_ns(struct init *c, const struct argument *a)
{
	(void)a;
	held_fd ns = (int)TRY(c, open_in_proc(c, "self/ns", O_RDONLY | O_DIRECTORY), "open /proc/self/ns");
	held_fd fd = (int)TRY(c, sys(openat, ns, "time_for_children", O_RDONLY | O_CLOEXEC), "open time_for_children");
	return TRY(c, sys(setns, fd, CLONE_NEWTIME_FLAG), "setns time");
}

static long op_loopback_up(struct init *c, const struct argument *a)
{
	struct {
		char name[16];
		short flags;
		char rest[22];
	} request = {.name = "lo"};
	(void)a;
	held_fd fd = (int)TRY(c, sys(socket, AF_INET_NUMBER, SOCK_DGRAM_NUMBER | O_CLOEXEC, 0), "socket");
	TRY(c, sys(ioctl, fd, SIOCGIFFLAGS, &request), "SIOCGIFFLAGS lo");
	request.flags |= IFF_UP_FLAG;
	return TRY(c, sys(ioctl, fd, SIOCSIFFLAGS, &request), "SIOCSIFFLAGS lo");
}

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

/* Terminals. */
static long set_terminal(int fd, const struct argument *a)
{
	struct termios settings;
	struct winsize size = {(u16)a[A_OPEN_PTY_ROWS].i, (u16)a[A_OPEN_PTY_COLUMNS].i, 0, 0};
	int locked = 0;
	long done = sys(ioctl, fd, TIOCSPTLCK, &locked);
	if (done == 0)
		done = sys(ioctl, fd, TCGETS, &settings);
	settings.c_oflag &= ~(tcflag_t)ONLCR; /* the payload's \n arrives as \n, as with runc */
	if (done == 0)
		done = sys(ioctl, fd, TCSETS, &settings);
	if (done == 0 && (size.ws_row || size.ws_col))
		done = sys(ioctl, fd, TIOCSWINSZ, &size);
	return done;
}

/* The slave is made from the master, never by its path (CVE-2025-52565). */
static long mount_console(struct init *c, int slave)
{
	struct statx st;
	held_fd place = (int)open_below(c, "dev/console", O_PATH, RESOLVE_NO_SYMLINKS);
	if (place == -ENOENT)
		place = (int)walk(c, "dev/console", (struct node){S_IFREG | 0600, NO_DEVICE}, false);
	TRY(c, place, "create /dev/console");
	TRY(c, look(place, &st), "statx /dev/console");
	if (kind_of(&st) == S_IFDIR)
		return FAIL(c, -EISDIR, "/dev/console");
	held_fd tree = (int)TRY(c, clone_tree(slave, 0), "open_tree of the pty");
	return TRY(c, move_onto(tree, place), "move_mount to /dev/console");
}

static long op_open_pty(struct init *c, const struct argument *a)
{
	struct open_how how = {
		.flags = O_RDWR | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	held_fd pts = (int)TRY(c, open_below(c, "dev/pts", O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS), "open /dev/pts");
	if (file_system_of(pts) != DEVPTS_MAGIC)
		return FAIL(c, -ENODEV, "/dev/pts is not a devpts");
	held_fd master = (int)TRY(c, sys(openat2, pts, "ptmx", &how, sizeof how), "open /dev/pts/ptmx");
	TRY(c, set_terminal(master, a), "set up the pty");
	long slave = TRY(c, sys(ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC), "TIOCGPTPEER");
	TRY(c, fill(c, SLOT_TTY, slave, "the pty"), NULL);
	if (a[A_OPEN_PTY_MOUNT].i)
		TRY(c, mount_console(c, (int)slave), NULL);
	return TRY(c, send_message(c, MSG_PTY, 0, 0, master), "send the pty");
}

static long op_tty_stdio(struct init *c, const struct argument *a)
{
	long tty = TRY(c, slot_fd(c, SLOT_TTY, "TTY"), NULL);
	if (a[A_TTY_STDIO_UID].i >= 0)
		TRY(c, sys(fchown, tty, a[A_TTY_STDIO_UID].i, -1), "fchown of the terminal");
	for (int fd = 0; fd < 3; fd++)
		TRY(c, sys(dup3, tty, fd, 0), "dup the terminal");
	return TRY(c, sys(ioctl, 0, TIOCSCTTY, 0), "TIOCSCTTY");
}

/* So that the process may reopen /dev/stdout.  A terminal of the caller and /dev/null stay whose they are; a
 * uid that has no mapping there, or a read-only file system, keeps the owner, as runc does. */
static long op_stdio_owner(struct init *c, const struct argument *a)
{
	i64 uid = a[A_STDIO_OWNER_UID].i;
	struct termios settings;
	struct statx st;
	for (int fd = 0; fd < 3; fd++) {
		long done;
		if (look(fd, &st) < 0 || st.stx_uid == (u32)uid || is_device(&st, S_IFCHR, 1, 3))
			continue;
		if (kind_of(&st) == S_IFCHR && sys(ioctl, fd, TCGETS, &settings) == 0)
			continue;
		done = sys(fchown, fd, uid, -1);
		if (done != -EINVAL && done != -EPERM && done != -EROFS)
			TRY(c, done, "fchown of stdio");
	}
	return 0;
}

/* argv and envp: pointers into the program. */
static const char **pointers_to(const struct argument *list, const char **room)
{
	const char *cursor = list->s;
	u32 i;
	for (i = 0; i < list->n; i++)
		room[i] = next_string(&cursor);
	room[i] = NULL;
	return room;
}

/* The state with the pid in it, at its start, for a hook's stdin.  A memfd: nobody has to feed a pipe. */
static long state_file(struct init *c, const struct argument *state)
{
	const char *cursor = state->s;
	char number[24];
	struct text pid = text_in(number, sizeof number);
	long fd = TRY(c, sys(memfd_create, "state", MFD_CLOEXEC), "memfd_create"), put = 0;
	add_number(&pid, sys(getpid));
	for (u32 i = 0; put >= 0 && i < state->n; i++) {
		const char *part = next_string(&cursor);
		put = retry_write((int)fd, part, strlen(part));
		if (put >= 0 && i == 0)
			put = retry_write((int)fd, pid.at, pid.used);
	}
	if (put >= 0)
		put = sys(lseek, fd, 0, 0);
	if (put < 0) {
		sys(close, fd);
		return FAIL(c, put, "write the state for a hook");
	}
	return fd;
}

static _Noreturn void run_hook(struct init *c, const struct argument *a, int state, int failed)
{
	const struct argument *args = &a[A_CONTAINER_HOOK_ARGS];
	long error = sys(dup3, state, 0, 0);
	const char **argv = pointers_to(args, c->pointers);
	const char **envp = pointers_to(&a[A_CONTAINER_HOOK_ENV], argv + args->n + 1);
	if (error >= 0)
		error = sys(close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC_FLAG);
	if (error >= 0)
		error = sys(execve, a[A_CONTAINER_HOOK_PATH].s, argv, envp);
	retry_write(failed, &error, sizeof error);
	end(127);
}

/* 0, or what the hook ended with. */
static long judge_hook(struct init *c, const char *path, const struct siginfo_status *status, bool late)
{
	if (late)
		return FAIL(c, -ETIMEDOUT, "hook ", path, ": timed out");
	if (status->code == CLD_EXITED_NUMBER && status->status == 0)
		return 0;
	FAIL(c, 0, "hook ", path, status->code == CLD_EXITED_NUMBER ? ": exit status " : ": signal ");
	add_number(&c->detail, status->status);
	return -NO_ERRNO;
}

static long op_container_hook(struct init *c, const struct argument *a)
{
	const char *path = a[A_CONTAINER_HOOK_PATH].s;
	int ends[2], pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_PIDFD, .pidfd = (u64)(unsigned long)&pidfd, .exit_signal = SIGCHLD_NUMBER};
	struct __kernel_timespec left = {a[A_CONTAINER_HOOK_TIMEOUT].i, 0};
	struct pollfd ended = {.events = POLLIN};
	struct siginfo_status status = {0};
	long error = 0, child;
	bool late = false;
	if (a[A_CONTAINER_HOOK_STATE].n != 2)
		return FAIL(c, -EINVAL, "hook ", path, ": the state has two parts");
	held_fd state = (int)TRY(c, state_file(c, &a[A_CONTAINER_HOOK_STATE]), NULL);
	TRY(c, sys(pipe2, ends, O_CLOEXEC), "pipe");
	child = sys(clone3, &args, sizeof args);
	if (child == 0)
		run_hook(c, a, state, ends[1]);
	sys(close, ends[1]);
	held_fd failed = ends[0], held_child = child < 0 ? -1 : pidfd;
	TRY(c, child, "clone3 for hook ", path);
	retry_read(failed, &error, sizeof error);
	ended.fd = held_child;
	if (left.tv_sec > 0) {
		long ready;
		do
			ready = sys(ppoll, &ended, 1, &left, NULL, 8);
		while (ready == -EINTR); /* the kernel has counted `left` down */
		late = ready == 0;
	}
	if (late)
		sys(pidfd_send_signal, held_child, SIGKILL_NUMBER, NULL, 0);
	TRY(c, wait_for(held_child, &status), "waitid for hook ", path);
	return error ? FAIL(c, error, "exec hook ", path) : judge_hook(c, path, &status, late);
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
	return sys(faccessat2, AT_FDCWD, path, X_OK_MODE, AT_EACCESS);
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
							    : done == -EISDIR ? ": is a directory"
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
	return 0;
}

static long op_ready(struct init *c, const struct argument *a)
{
	(void)a;
	TRY(c, send_message(c, MSG_READY, 0, 0, -1), "send READY");
	if (c->program.waits) {
		sys(close, c->sock);
		c->sock = -1;
	}
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
	const char *path = c->executable ? c->executable : args->n ? argv[0] : "";
	long error = sys(execve, path, argv, envp);
	FAIL(c, error, "exec ", path, ": ");
	add_error(&c->detail, -error);
	c->exit_code = error == -ENOENT ? 127 : 126;
	return error;
}
