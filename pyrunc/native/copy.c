/* copy_up: the contents of a directory of the image into the mount that will cover it (tmpcopyup).
 *
 * The source is hostile: nothing is followed, what is opened is judged by its descriptor, depth is bounded.
 */

#define DEPTH_LIMIT 64
#define ENTRIES_SIZE 2048

struct directory_entry {
	u64 inode;
	i64 offset;
	u16 length;
	u8 type;
	char name[];
};

static long copy_bytes(int from, int to, u64 size)
{
	while (size) {
		u64 part = size < (1u << 30) ? size : 1u << 30;
		long n = sys(sendfile, to, from, NULL, part);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n; /* it may have become shorter */
		size -= (u64)n;
	}
	return 0;
}

/* Owner first: chown clears set-id bits. */
static long set_attributes(int fd, const struct statx *st)
{
	struct __kernel_timespec times[2] = {
		{st->stx_atime.tv_sec, st->stx_atime.tv_nsec},
		{st->stx_mtime.tv_sec, st->stx_mtime.tv_nsec},
	};
	long done = sys(fchown, fd, st->stx_uid, st->stx_gid);
	if (done == 0)
		done = sys(fchmod, fd, st->stx_mode & 07777);
	return done ? done : sys(utimensat, fd, NULL, times, 0);
}

static long copy_file(int from_dir, int to_dir, const char *name)
{
	struct statx st;
	held_fd from = (int)sys(openat, from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	held_fd to = (int)sys(openat, to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	long done = from < 0 ? from : to < 0 ? to : look(from, &st);
	if (done == 0 && kind_of(&st) != S_IFREG)
		done = -ESTALE;
	if (done == 0)
		done = copy_bytes(from, to, st.stx_size);
	return done ? done : set_attributes(to, &st);
}

/* Symlinks, devices, fifos and sockets. */
static long copy_special(int from_dir, int to_dir, const char *name, const struct statx *st)
{
	char target[PATH_LIMIT];
	long done;
	if (kind_of(st) == S_IFLNK) {
		done = sys(readlinkat, from_dir, name, target, sizeof target - 1);
		if (done < 0)
			return done;
		target[done] = 0;
		done = sys(symlinkat, target, to_dir, name);
	} else {
		done = make_node(to_dir, name,
				 (struct node){st->stx_mode, device_number(st->stx_rdev_major, st->stx_rdev_minor)});
	}
	return done ? done : sys(fchownat, to_dir, name, st->stx_uid, st->stx_gid, AT_SYMLINK_NOFOLLOW);
}

static long copy_tree(struct init *c, int from, int to, u32 depth);

static long copy_directory(struct init *c, int from_dir, int to_dir, const char *name, u32 depth)
{
	struct statx st;
	long done = sys(mkdirat, to_dir, name, 0700);
	if (done)
		return done;
	held_fd from = (int)sys(openat, from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	held_fd to = (int)sys(openat, to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	done = from < 0 ? from : to < 0 ? to : look(from, &st);
	if (done == 0)
		done = copy_tree(c, from, to, depth + 1);
	return done ? done : set_attributes(to, &st);
}

static long copy_entry(struct init *c, int from, int to, const char *name, u32 depth)
{
	struct statx st;
	long done;
	if (streq(name, ".") || streq(name, ".."))
		return 0;
	done = existing(from, name, &st);
	if (done == 0 && kind_of(&st) == S_IFDIR)
		done = copy_directory(c, from, to, name, depth);
	else if (done == 0 && kind_of(&st) == S_IFREG)
		done = copy_file(from, to, name);
	else if (done == 0)
		done = copy_special(from, to, name, &st);
	return done ? FAIL(c, done, "copy ", name) : 0;
}

static long copy_tree(struct init *c, int from, int to, u32 depth)
{
	u8 entries[ENTRIES_SIZE] __attribute__((aligned(8)));
	long n;
	if (depth > DEPTH_LIMIT)
		return FAIL(c, -ELOOP, "directories too deep to copy");
	while ((n = sys(getdents64, from, entries, sizeof entries)) > 0)
		for (long at = 0; at < n;) {
			const struct directory_entry *entry = (const void *)(entries + at);
			long done = copy_entry(c, from, to, entry->name, depth);
			if (done)
				return done;
			at += entry->length;
		}
	return n;
}

static long op_copy_up(struct init *c, const struct argument *a)
{
	i64 source = a[A_COPY_UP_SOURCE].i;
	if (absent(c, source) || absent(c, a[A_COPY_UP_SLOT].i))
		return 0;
	long from = TRY(c, slot_fd(c, source, "source"), NULL), to = TRY(c, slot_fd(c, a[A_COPY_UP_SLOT].i, "mount"), NULL);
	held_fd from_dir = (int)TRY(c, sys(openat, from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open ", path_of(c, source));
	held_fd to_dir = (int)TRY(c, sys(openat, to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open the copy of ", path_of(c, source));
	return TRY(c, copy_tree(c, from_dir, to_dir, 0), "copy ", path_of(c, source));
}
