/* Hooks that run in the container: createContainer and startContainer. */

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

/* What a hook reads and writes: never the container's stdio. */
struct hook_files {
	int state, out, err;
};

#define OUTPUT_LIMIT 1500

/* The start of what a hook has written, for the message about its failure. */
static void add_output(struct init *c, const char *label, int file)
{
	char text[OUTPUT_LIMIT];
	long n = sys(pread64, file, text, sizeof text, 0);
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	add(&c->detail, label);
	for (long i = 0; i < n; i++)
		if (text[i])
			add_bytes(&c->detail, text + i, 1);
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

/* Before the rootfs is entered a hook runs in its directory, as with runc; afterwards in the process's. */
static long enter_rootfs(struct init *c)
{
	return c->slots[SLOT_ROOT].held > 0 && !c->inside ? sys(fchdir, c->slots[SLOT_ROOT].held - 1) : 0;
}

static _Noreturn void run_hook(struct init *c, const struct argument *a, const struct hook_files *files, int failed)
{
	const struct argument *args = &a[A_CONTAINER_HOOK_ARGS];
	long error = sys(dup3, files->state, 0, 0);
	if (error >= 0)
		error = sys(dup3, files->out, 1, 0);
	if (error >= 0)
		error = sys(dup3, files->err, 2, 0);
	if (error >= 0)
		error = enter_rootfs(c);
	const char **argv = pointers_to(args, c->pointers);
	const char **envp = pointers_to(&a[A_CONTAINER_HOOK_ENV], argv + args->n + 1);
	close_from(3, failed);
	if (error >= 0)
		error = sys(execve, a[A_CONTAINER_HOOK_PATH].s, argv, envp);
	retry_write(failed, &error, sizeof error);
	end(127);
}

/* 0, or what the hook ended with. */
static long judge_hook(struct init *c, const char *path, const struct siginfo_status *status, bool late,
		       const struct hook_files *files)
{
	if (late)
		return FAIL(c, -ETIMEDOUT, "hook ", path, ": timed out");
	if (status->code == CLD_EXITED_NUMBER && status->status == 0)
		return 0;
	FAIL(c, 0, "hook ", path, status->code == CLD_EXITED_NUMBER ? ": exit status " : ": signal ");
	add_number(&c->detail, status->status);
	add_output(c, ", stdout: ", files->out);
	add_output(c, ", stderr: ", files->err);
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
	held_fd out = (int)TRY(c, sys(memfd_create, "stdout", MFD_CLOEXEC), "memfd_create");
	held_fd err = (int)TRY(c, sys(memfd_create, "stderr", MFD_CLOEXEC), "memfd_create");
	const struct hook_files files = {state, out, err};
	TRY(c, sys(pipe2, ends, O_CLOEXEC), "pipe");
	child = sys(clone3, &args, sizeof args);
	if (child == -ENOSYS) /* so the usual seccomp profiles say of clone3, whose flags they cannot see */
		child = sys(clone, CLONE_PIDFD | SIGCHLD_NUMBER, NULL, &pidfd, NULL, NULL);
	if (child == 0)
		run_hook(c, a, &files, ends[1]);
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
	if (!error)
		return judge_hook(c, path, &status, late, &files);
	FAIL(c, error, "hook ", path, ": ");
	add_error(&c->detail, -error);
	return error;
}
