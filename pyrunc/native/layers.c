/* Layers: what a container sees of the host's files as its own.  A directory is the lower one of an overlay, whose
 * upper one lies in a tmpfs (the layer); a file is copied into one.
 *
 * kernel: Documentation/filesystems/overlayfs.rst.
 */

#define XATTR_LIST_LIMIT 65536 /* xattr(7) */
#define XATTR_SIZE_LIMIT 65536
#define COPY_LIMIT 5 /* of a file that changes meanwhile */
#define COMPARED 16384 /* bytes at a time */
#define SEEK_FROM_START 0
#define SEEK_FROM_HERE 1
#define SEEK_DATA_FROM 3
#define SEEK_HOLE_FROM 4
#define ST_NOSUID_FLAG 2 /* statfs(2) */
#define ST_NODEV_FLAG 4
#define ST_NOEXEC_FLAG 8
#define ST_NOSYMFOLLOW_FLAG 0x2000
#define FORBIDDING (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW)

/* What the mount of a file forbids; its private copy forbids it, too, as a bind mount would. */
static long forbidden(int fd)
{
	struct statfs fs;
	long got = sys(fstatfs, fd, &fs);
	if (got < 0)
		return got;
	return (fs.f_flags & ST_NOSUID_FLAG ? MOUNT_ATTR_NOSUID : 0) | (fs.f_flags & ST_NODEV_FLAG ? MOUNT_ATTR_NODEV : 0) |
	       (fs.f_flags & ST_NOEXEC_FLAG ? MOUNT_ATTR_NOEXEC : 0) |
	       (fs.f_flags & ST_NOSYMFOLLOW_FLAG ? MOUNT_ATTR_NOSYMFOLLOW : 0);
}

/* What an overlay has noted about a directory is about that overlay. */
static bool belongs_to_overlay(const char *name)
{
	return starts_with(name, "trusted.overlay.") || starts_with(name, "user.overlay.");
}

static long copy_xattrs(struct init *c, int from, int to, const char *path)
{
	char names[XATTR_LIST_LIMIT], value[XATTR_SIZE_LIMIT];
	long n = sys(flistxattr, from, names, sizeof names), size;
	if (n == -EOPNOTSUPP)
		return 0;
	TRY(c, n, "list the extended attributes of ", path);
	for (const char *name = names; name < names + n; name += strlen(name) + 1) {
		if (belongs_to_overlay(name))
			continue;
		size = sys(fgetxattr, from, name, value, sizeof value);
		if (size >= 0)
			size = sys(fsetxattr, to, name, value, size, 0);
		TRY(c, size, "copy the extended attribute ", name, " of ", path);
	}
	return 0;
}

/* Extended attributes last: chown would take security.capability away. */
static long copy_attributes(struct init *c, int from, int to, const struct statx *st, const char *path)
{
	long done = set_attributes(to, st);
	if (done == -EINVAL) /* fchown of an id that is not mapped */
		return FAIL(c, -EOVERFLOW, path);
	TRY(c, done, "copy owner and mode of ", path);
	return copy_xattrs(c, from, to, path);
}

/* The root of the overlay is that of its upper directory, so that becomes like the lower one. */
static long make_upper(struct init *c, int layer, int lower, const char *path)
{
	struct statx st;
	TRY(c, sys(mkdirat, layer, "work", 0700), "make the work directory for ", path);
	TRY(c, sys(mkdirat, layer, "upper", 0700), "make the upper directory for ", path);
	held_fd from = (int)TRY(c, sys(openat, lower, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open ", path);
	held_fd upper = (int)TRY(c, sys(openat, layer, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
				 "open the upper directory for ", path);
	TRY(c, look(from, &st), "statx ", path);
	return copy_attributes(c, from, upper, &st, path);
}

/* In a user namespace overlayfs notes in user.* attributes what it has replaced.  Where it cannot, it mounts all the
 * same, and a directory that was deleted cannot be made again.  A tmpfs takes them from Linux 6.6 on. */
static long takes_notes(struct init *c, int layer)
{
	held_fd work = (int)TRY(c, sys(openat, layer, "work", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), "open work");
	TRY(c, sys(fsetxattr, work, "user.note", "", 0, 0), "keep user.* attributes on a tmpfs, as an overlay must");
	return TRY(c, sys(fremovexattr, work, "user.note"), "fremovexattr");
}

/* overlayfs takes its directories by path; these lead to what the slots hold, whatever their own paths do by now. */
static long set_directory(int fs, const char *key, long fd, const char *below)
{
	char buffer[48];
	struct text path = text_in(buffer, sizeof buffer);
	add(&path, "/proc/self/fd/");
	add_number(&path, fd);
	add(&path, below);
	return sys(fsconfig, fs, FSCONFIG_SET_STRING, key, path.at, 0);
}

static long op_overlay(struct init *c, const struct argument *a)
{
	const char *cursor = a[A_OVERLAY_OPTIONS].s, *path = path_of(c, a[A_OVERLAY_LOWER].i);
	i64 slot = a[A_OVERLAY_SLOT].i;
	long lower = TRY(c, slot_fd(c, a[A_OVERLAY_LOWER].i, "lower"), NULL);
	long layer = TRY(c, slot_fd(c, a[A_OVERLAY_LAYER].i, "layer"), NULL);
	long attrs = a[A_OVERLAY_ATTRS].i | TRY(c, forbidden((int)lower), "statfs ", path), done = 0, mounted;
	TRY(c, make_upper(c, (int)layer, (int)lower, path), NULL);
	held_fd fs = (int)TRY(c, sys(fsopen, "overlay", FSOPEN_CLOEXEC), "fsopen overlay");
	for (u32 i = 0; done == 0 && i < a[A_OVERLAY_OPTIONS].n; i++) {
		const char *option = next_string(&cursor);
		if (streq(option, "userxattr"))
			TRY(c, takes_notes(c, (int)layer), NULL);
		done = set_option(fs, option);
		if (done < 0)
			return fs_failed(c, done, fs, "fsconfig for overlay:", option);
	}
	done = set_directory(fs, "lowerdir", lower, "");
	if (done == 0)
		done = set_directory(fs, "upperdir", layer, "/upper");
	if (done == 0)
		done = set_directory(fs, "workdir", layer, "/work");
	if (done == 0)
		done = sys(fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (done < 0)
		return fs_failed(c, done, fs, "overlay over", path);
	mounted = sys(fsmount, fs, FSMOUNT_CLOEXEC, attrs);
	if (mounted < 0)
		return fs_failed(c, mounted, fs, "fsmount: overlay over", path);
	TRY(c, fill(c, slot, mounted, path), NULL);
	return is_mount(c, slot, LAYER_MOUNT);
}

static long op_pass_layer(struct init *c, const struct argument *a)
{
	long fd = TRY(c, slot_fd(c, a[A_PASS_LAYER_SLOT].i, "layer"), NULL);
	return TRY(c, send_message(c, MSG_LAYER, (u32)a[A_PASS_LAYER_INDEX].i, 0, (int)fd), "send LAYER");
}

/* One stretch of data; 1 when the file has less than it said. */
static long copy_stretch(int from, int to, long at, long end)
{
	long done = sys(lseek, from, at, SEEK_FROM_START);
	if (done >= 0)
		done = sys(lseek, to, at, SEEK_FROM_START);
	if (done >= 0)
		done = copy_bytes(from, to, (u64)(end - at));
	return done < 0 ? done : sys(lseek, from, 0, SEEK_FROM_HERE) != end;
}

/* The contents, with the holes; 1 when the file has less or more than it said. */
static long copy_contents(int from, int to, u64 size)
{
	long at = 0, end, done = sys(ftruncate, to, size);
	u8 more;
	while (done == 0 && (at = sys(lseek, from, at, SEEK_DATA_FROM)) >= 0 && (u64)at < size) {
		end = sys(lseek, from, at, SEEK_HOLE_FROM);
		if (end < 0)
			return end;
		done = copy_stretch(from, to, at, (u64)end < size ? end : (long)size);
		at = end;
	}
	if (done)
		return done;
	if (at < 0 && at != -ENXIO)
		return at == -EINVAL ? 1 : at; /* a procfs does not know what data is */
	done = sys(pread64, from, &more, 1, size);
	return done < 0 ? done : done > 0;
}

/* Whether the copy is what the file holds now. */
static long differs(int from, int to, u64 size)
{
	u8 a[COMPARED], b[COMPARED];
	long at = 0, end, n;
	while ((u64)at < size && (at = sys(lseek, from, at, SEEK_DATA_FROM)) >= 0) {
		end = sys(lseek, from, at, SEEK_HOLE_FROM);
		for (; at < end; at += n) {
			n = sys(pread64, from, a, end - at < COMPARED ? end - at : COMPARED, at);
			if (n <= 0 || sys(pread64, to, b, n, at) != n || memcmp(a, b, (u64)n))
				return n < 0 ? n : 1;
		}
		if (end < 0)
			return end;
	}
	return at < 0 && at != -ENXIO ? at : 0;
}

/* A write that has begun has set the time already, and may go on for a while. */
static bool is_recent(const struct statx *st)
{
	struct __kernel_timespec now;
	return sys(clock_gettime, 0 /* CLOCK_REALTIME */, &now) < 0 || now.tv_sec - st->stx_mtime.tv_sec < 2;
}

static bool unchanged(const struct statx *a, const struct statx *b)
{
	return a->stx_size == b->stx_size && a->stx_mtime.tv_sec == b->stx_mtime.tv_sec &&
	       a->stx_mtime.tv_nsec == b->stx_mtime.tv_nsec && a->stx_ctime.tv_sec == b->stx_ctime.tv_sec &&
	       a->stx_ctime.tv_nsec == b->stx_ctime.tv_nsec;
}

/* Opens a regular file for reading; a device or FIFO is never opened. */
static long open_regular(struct init *c, const char *path)
{
	struct statx st, again;
	held_fd place = (int)TRY(c, sys(openat, AT_FDCWD, path, O_PATH | O_CLOEXEC), "open ", path);
	TRY(c, look(place, &st), "statx ", path);
	if (kind_of(&st) != S_IFREG)
		return FAIL(c, kind_of(&st) == S_IFDIR ? -EISDIR : -EOPNOTSUPP, path, " is no regular file");
	held_fd fd = (int)TRY(c, sys(openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), "open ", path);
	TRY(c, look(fd, &again), "statx ", path);
	if (again.stx_ino != st.stx_ino || device_of(&again) != device_of(&st))
		return FAIL(c, -ESTALE, path, " was replaced while it was opened");
	long kept = fd;
	fd = -1;
	return kept;
}

/* A copy of one moment: a source that changes meanwhile is copied again, a few times. */
static long copy_moment(struct init *c, int from, int to, const char *source, const char *path)
{
	struct statx before, after;
	for (u32 i = 0; i < COPY_LIMIT; i++) {
		TRY(c, look(from, &before), "statx ", source);
		TRY(c, sys(ftruncate, to, 0), "truncate ", path);
		long wrong = TRY(c, copy_contents(from, to, before.stx_size), "copy ", source, " to ", path), other = 0;
		if (!wrong && is_recent(&before))
			other = TRY(c, differs(from, to, before.stx_size), "read ", source);
		TRY(c, look(from, &after), "statx ", source);
		if (other || !unchanged(&before, &after))
			continue;
		if (wrong)
			return FAIL(c, -EINVAL, source);
		return copy_attributes(c, from, to, &before, source);
	}
	return FAIL(c, -EBUSY, source);
}

static long op_copy_file(struct init *c, const struct argument *a)
{
	const char *source = a[A_COPY_FILE_SOURCE].s, *path = a[A_COPY_FILE_PATH].s;
	i64 slot = a[A_COPY_FILE_SLOT].i;
	held_fd from = (int)TRY(c, open_regular(c, source), NULL);
	held_fd to = (int)TRY(c, sys(openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600),
			      "create ", path);
	TRY(c, copy_moment(c, from, to, source, path), NULL);
	struct mount_attr attr = {.attr_clr = FORBIDDING, .attr_set = (u64)TRY(c, forbidden(from), "statfs ", source)};
	long tree = TRY(c, clone_tree(to, 0), "open_tree ", path);
	TRY(c, fill(c, slot, tree, source), NULL);
	TRY(c, sys(mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr), "mount_setattr ", source);
	return is_mount(c, slot, LAYER_MOUNT);
}
