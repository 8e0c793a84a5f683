/* copy_up: the contents of a directory of the image into the mount that will cover it (tmpcopyup).
 * copy_file: a file of the host as a private copy.
 *
 * The source is hostile: nothing is followed, what is opened is judged by its descriptor, depth is bounded.
 */

#define DEPTH_LIMIT 64
#define ENTRIES_SIZE 2048
#define XATTR_LIST_LIMIT 65536 /* xattr(7) */
#define XATTR_SIZE_LIMIT 65536
#define COPY_LIMIT 5
#define SEEK_FROM_START 0
#define SEEK_DATA_FROM 3
#define SEEK_HOLE_FROM 4
#ifndef FICLONE
#define FICLONE 0x40049409
#endif

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

/* What an overlay has noted about a directory is about that overlay. */
static bool belongs_to_overlay(const char *name)
{
	return starts_with(name, "trusted.overlay.") || starts_with(name, "user.overlay.");
}

static long copy_xattrs(struct init *c, int from, int to)
{
	char names[XATTR_LIST_LIMIT], value[XATTR_SIZE_LIMIT];
	long n = sys(flistxattr, from, names, sizeof names), size;
	if (n == -EOPNOTSUPP)
		return 0;
	if (n < 0)
		return FAIL(c, n, "list the extended attributes");
	for (const char *name = names; name < names + n; name += strlen(name) + 1) {
		if (belongs_to_overlay(name))
			continue;
		size = sys(fgetxattr, from, name, value, sizeof value);
		if (size >= 0)
			size = sys(fsetxattr, to, name, value, size, 0);
		if (size < 0)
			return FAIL(c, size, "copy the extended attribute ", name);
	}
	return 0;
}

/* Extended attributes last: chown would take security.capability away. */
static long copy_attributes(struct init *c, int from, int to, const struct statx *st)
{
	long done = set_attributes(to, st);
	return done ? done : copy_xattrs(c, from, to);
}

/* Blocks shared where the file system can, else copied, with the holes. */
static long copy_contents(int from, int to, u64 size)
{
	long at = 0, end, done = sys(ioctl, to, FICLONE, from);
	if (done != -EOPNOTSUPP && done != -EXDEV && done != -EINVAL && done != -ENOTTY)
		return done;
	done = sys(ftruncate, to, size);
	while (done == 0 && (at = sys(lseek, from, at, SEEK_DATA_FROM)) >= 0) {
		end = sys(lseek, from, at, SEEK_HOLE_FROM);
		if (end < 0)
			return end;
		done = sys(lseek, from, at, SEEK_FROM_START);
		if (done >= 0)
			done = sys(lseek, to, at, SEEK_FROM_START);
		done = done < 0 ? done : copy_bytes(from, to, (u64)(end - at));
		at = end;
	}
	return done ? done : at == -ENXIO ? 0 : at;
}

static bool unchanged(const struct statx *a, const struct statx *b)
{
	return a->stx_size == b->stx_size && a->stx_mtime.tv_sec == b->stx_mtime.tv_sec &&
	       a->stx_mtime.tv_nsec == b->stx_mtime.tv_nsec && a->stx_ctime.tv_sec == b->stx_ctime.tv_sec &&
	       a->stx_ctime.tv_nsec == b->stx_ctime.tv_nsec;
}

/* Opens a regular file for reading; a device or FIFO is never opened. */
static long open_regular(const char *path, struct statx *st)
{
	struct statx again;
	held_fd place = (int)sys(openat, AT_FDCWD, path, O_PATH | O_CLOEXEC);
	long done = place < 0 ? place : look(place, st), fd;
	if (done == 0 && kind_of(st) != S_IFREG)
		done = kind_of(st) == S_IFDIR ? -EISDIR : -EINVAL;
	if (done)
		return done;
	fd = sys(openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return fd;
	done = look((int)fd, &again);
	if (done == 0 && (again.stx_ino != st->stx_ino || device_of(&again) != device_of(st)))
		done = -ESTALE;
	if (done == 0)
		return fd;
	sys(close, fd);
	return done;
}

/* A copy of one moment: a source that changes meanwhile is copied again, a few times. */
static long op_copy_file(struct init *c, const struct argument *a)
{
	const char *source = a[A_COPY_FILE_SOURCE].s, *path = a[A_COPY_FILE_PATH].s;
	struct statx before, after;
	held_fd from = (int)TRY(c, open_regular(source, &before), "open ", source);
	held_fd to = (int)TRY(c, sys(openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600),
			      "create ", path);
	for (u32 i = 0; i < COPY_LIMIT; i++) {
		TRY(c, look(from, &before), "statx ", source);
		TRY(c, sys(ftruncate, to, 0), "truncate ", path);
		TRY(c, sys(lseek, to, 0, SEEK_FROM_START), "seek in ", path);
		TRY(c, copy_contents(from, to, before.stx_size), "copy ", source, " to ", path);
		TRY(c, look(from, &after), "statx ", source);
		if (unchanged(&before, &after))
			return TRY(c, copy_attributes(c, from, to, &before), "copy the attributes of ", source);
	}
	return FAIL(c, -EBUSY, source, " changes while it is copied");
}
