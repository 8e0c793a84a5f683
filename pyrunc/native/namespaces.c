/* Namespaces, cgroups, id maps and /proc: how the process comes to where the container is. */

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

/* The name of a filter has the pid of the runtime, so that this can find it again from another process. */
static void name_filter(char name[BPF_OBJ_NAME_LEN])
{
	struct text text = text_in(name, BPF_OBJ_NAME_LEN);
	add(&text, "pyrunc_");
	add_number(&text, sys(getppid));
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
	name_filter(load.prog_name);
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

static long filter_with_name(u32 id, const char *name)
{
	struct bpf_prog_info found;
	union bpf_attr get, look;
	memset(&get, 0, sizeof get);
	memset(&look, 0, sizeof look);
	memset(&found, 0, sizeof found);
	get.prog_id = id;
	held_fd filter = (int)sys(bpf, BPF_PROG_GET_FD_BY_ID, &get, sizeof get);
	if (filter < 0)
		return filter;
	look.info.bpf_fd = (u32)filter;
	look.info.info_len = sizeof found;
	look.info.info = (u64)(unsigned long)&found;
	long looked = sys(bpf, BPF_OBJ_GET_INFO_BY_FD, &look, sizeof look);
	if (looked < 0)
		return looked;
	return memcmp(found.name, name, BPF_OBJ_NAME_LEN) ? -ENOENT : sys(dup, filter);
}

static long op_detach_device_filter(struct init *c, const struct argument *a)
{
	const char *path = a[A_DETACH_DEVICE_FILTER_PATH].s;
	char name[BPF_OBJ_NAME_LEN];
	u32 ids[64]; /* BPF_CGROUP_MAX_PROGS */
	union bpf_attr query, detach;
	memset(name, 0, sizeof name);
	memset(&query, 0, sizeof query);
	memset(&detach, 0, sizeof detach);
	name_filter(name);
	held_fd cgroup = (int)TRY(c, sys(openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open ", path);
	query.query.target_fd = (u32)cgroup;
	query.query.attach_type = BPF_CGROUP_DEVICE;
	query.query.prog_ids = (u64)(unsigned long)ids;
	query.query.prog_cnt = sizeof ids / sizeof *ids;
	TRY(c, sys(bpf, BPF_PROG_QUERY, &query, sizeof query), "list the device filters of ", path);
	detach.target_fd = (u32)cgroup;
	detach.attach_type = BPF_CGROUP_DEVICE;
	for (u32 i = 0; i < query.query.prog_cnt; i++) {
		held_fd filter = (int)filter_with_name(ids[i], name);
		if (filter == -ENOENT) /* another one, or gone meanwhile */
			continue;
		TRY(c, filter, "look at a device filter of ", path);
		detach.attach_bpf_fd = (u32)filter;
		TRY(c, sys(bpf, BPF_PROG_DETACH, &detach, sizeof detach), "detach the device filter from ", path);
	}
	return 0;
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
	TRY(c, sys(setns, fd, a[A_JOIN_PIDFD_TYPES].i), "setns ", path_of(c, a[A_JOIN_PIDFD_SLOT].i));
	return 0;
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
		close_slot(c, a[A_CLONE_CGROUP].i);
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
	held_fd ns = (int)TRY(c, open_in_proc(c, "self/ns", O_PATH | O_DIRECTORY), "open /proc/self/ns");
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
