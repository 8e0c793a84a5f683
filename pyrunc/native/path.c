/* Paths below the rootfs: the one thing that pyrunc-init decides.
 *
 * The rootfs is hostile and may change while we look.  So a path is never used as a string twice: each
 * step goes through openat2(RESOLVE_IN_ROOT) from slot ROOT, what was opened is judged by its descriptor, and a
 * mount is attached to that descriptor (CVE-2019-18837, CVE-2021-30465, CVE-2024-45310).
 */

#define SYMLINK_LIMIT 40 /* as path_resolution(7) */

#define PROC_MAGIC 0x9fa0
#define PROC_ROOT_INO 1
#define DEVPTS_MAGIC 0x1cd1

/* A walk: `done` is free of symlinks and was opened, `rest` is still to be resolved. */
struct walk {
	char done[PATH_LIMIT], rest[2 * PATH_LIMIT];
	struct text to; /* in done */
	char *at;       /* in rest */
	u32 links;
};

/* The next component is added to `to`: 1, 0 at the end of the path, or an error. */
static long next_component(struct walk *w)
{
	for (;;) {
		u32 n = 0;
		char *start;
		while (*w->at == '/')
			w->at++;
		for (start = w->at; *w->at && *w->at != '/'; w->at++)
			n++;
		if (!n)
			return 0;
		if (n == 2 && start[0] == '.' && start[1] == '.')
			drop_component(&w->to);
		else if (n != 1 || start[0] != '.') {
			if (n > NAME_LIMIT || w->to.used + n + 2 > w->to.limit)
				return -ENAMETOOLONG;
			if (w->to.used)
				add(&w->to, "/");
			add_bytes(&w->to, start, n);
			return 1;
		}
	}
}

static bool at_end(const char *s)
{
	while (*s == '/')
		s++;
	return !*s;
}

/* Replaces the symlink at the end of `done` by what it holds. */
static long follow(struct walk *w, int link)
{
	char target[PATH_LIMIT];
	u64 left = strlen(w->at);
	long n;
	if (++w->links > SYMLINK_LIMIT || file_system_of(link) == PROC_MAGIC)
		return -ELOOP; /* on a procfs it may be a magic link */
	n = sys(readlinkat, link, "", target, sizeof target);
	if (n < 0)
		return n;
	if ((u64)n + left + 2 > sizeof w->rest)
		return -ENAMETOOLONG;
	memmove(w->rest + n, w->at, left + 1); /* the rest starts with a slash or is empty */
	memcpy(w->rest, target, (u64)n);
	w->at = w->rest;
	if (target[0] == '/')
		w->to = text_in(w->done, sizeof w->done);
	else
		drop_component(&w->to);
	return 0;
}

/* Creates the last component of `done` in its parent, which is resolved anew: 1, or 0 when somebody was faster. */
static long create_component(struct init *c, struct walk *w, struct node node, struct birth *b)
{
	char *slash = w->done + w->to.used;
	long done;
	while (slash > w->done && slash[-1] != '/')
		slash--;
	if (slash > w->done)
		slash[-1] = 0;
	held_fd parent = (int)open_below(c, slash > w->done ? w->done : "", O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
	if (slash > w->done)
		slash[-1] = '/';
	done = parent < 0 ? parent : foresee(c, parent, w->done, node.mode, b);
	if (done == 0)
		done = make_node(parent, slash, node);
	return done == -EEXIST ? 0 : done < 0 ? done : 1;
}

/* The object at `done`, created where it is absent, and what it is. */
static long step(struct init *c, struct walk *w, struct node node, struct statx *st)
{
	struct birth birth = {.slot = -1};
	long fd = open_below(c, w->done, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS), made = 0, error;
	if (fd == -ENOENT) {
		made = create_component(c, w, node, &birth);
		fd = made < 0 ? made : open_below(c, w->done, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
	}
	if (fd < 0)
		return fd;
	error = look((int)fd, st);
	if (!error)
		error = announce(c, w->done, made && kind_of(st) == (node.mode & S_IFMT) ? st : NULL, &birth);
	if (!error)
		return fd;
	sys(close, fd);
	return error;
}

/* Opens `path` (O_PATH), one component at a time, and creates what is absent: directories on the way,
 * `last` at the end.  A dangling symlink counts as the path that it holds.  `real`, which may be NULL, gets the
 * path without symlinks, relative to the rootfs. */
static long walk(struct init *c, const char *path, struct node last, bool symlinks, char real[PATH_LIMIT])
{
	struct walk w;
	struct statx st;
	long fd, more;
	if (strlen(path) >= PATH_LIMIT)
		return -ENAMETOOLONG;
	w.to = text_in(w.done, sizeof w.done);
	w.links = 0;
	w.at = w.rest;
	memcpy(w.rest, path, strlen(path) + 1);
	while ((more = next_component(&w)) > 0) {
		bool is_last = at_end(w.at);
		fd = step(c, &w, is_last ? last : (struct node){S_IFDIR | 0755, NO_DEVICE}, &st);
		if (fd < 0)
			return fd;
		if (is_last && kind_of(&st) != S_IFLNK) {
			if (real)
				memcpy(real, w.done, w.to.used + 1);
			return fd;
		}
		if (kind_of(&st) == S_IFLNK)
			more = symlinks ? follow(&w, (int)fd) : -ELOOP;
		else if (kind_of(&st) != S_IFDIR)
			more = -ENOTDIR;
		sys(close, fd);
		if (more < 0)
			return more;
	}
	if (more == 0 && real)
		memcpy(real, w.done, w.to.used + 1);
	/* Nothing but dots is left: the path ends at a directory that is known. */
	return more < 0 ? more : open_below(c, w.done, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
}

static bool has_dots(const char *path)
{
	for (; *path; path++)
		if (path[0] == '.' && path[1] == '.')
			return true;
	return false;
}

/* The last component of a path, and the directory that holds it, by its path without symlinks. */
struct place {
	char parent[PATH_LIMIT], name[NAME_LIMIT + 1];
};

/* A path that needs no walk, as a walk would have it: relative, without empty components and dots. */
static void tidy(const char *path, char out[PATH_LIMIT])
{
	u32 used = 0;
	for (; *path; path++) {
		bool starts = !used || out[used - 1] == '/';
		if (starts && (*path == '/' || (*path == '.' && (path[1] == '/' || !path[1]))))
			continue;
		out[used++] = *path;
	}
	if (used && out[used - 1] == '/')
		used--;
	out[used] = 0;
}

/* Opens the parent of `path`, created where it is absent. */
static long open_parent(struct init *c, const char *path, struct place *p)
{
	char wanted[PATH_LIMIT];
	u64 end = strlen(path), start;
	long fd;
	while (end && path[end - 1] == '/')
		end--;
	for (start = end; start && path[start - 1] != '/'; start--)
		;
	if (end - start > NAME_LIMIT || start >= PATH_LIMIT)
		return -ENAMETOOLONG;
	memcpy(p->name, path + start, end - start);
	p->name[end - start] = 0;
	if (!*p->name || streq(p->name, ".") || streq(p->name, ".."))
		return -EINVAL;
	memcpy(wanted, path, start);
	while (start && wanted[start - 1] == '/')
		start--;
	wanted[start] = 0;
	if (!has_dots(wanted)) {
		fd = open_below(c, wanted, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
		if (fd >= 0)
			tidy(wanted, p->parent);
		if (fd != -ENOENT && fd != -ELOOP && fd != -ENOTDIR)
			return fd;
	}
	return walk(c, wanted, (struct node){S_IFDIR | 0755, NO_DEVICE}, true, p->parent);
}

static bool is_root(struct init *c, const struct statx *st)
{
	struct statx root;
	return look(c->slots[SLOT_ROOT].held - 1, &root) == 0 && root.stx_mnt_id == st->stx_mnt_id &&
	       root.stx_ino == st->stx_ino;
}

/* Whether something may be mounted here: labels, masks and sysctls go through /proc (CVE-2019-16884,
 * CVE-2023-27561), so only allow-listed files of it, and the whole of it, are mount points. */
static long judge_target(struct init *c, const struct statx *st, int fd, i64 flags, u32 wanted)
{
	long fs;
	if (wanted == S_IFDIR && kind_of(st) != S_IFDIR)
		return -ENOTDIR;
	if (wanted && wanted != S_IFDIR && kind_of(st) == S_IFDIR)
		return -EISDIR;
	if (flags & TARGET_ALLOW_PROC)
		return 0;
	if (flags & TARGET_NOT_ROOT && is_root(c, st))
		return -EBUSY;
	fs = file_system_of(fd);
	if (fs != PROC_MAGIC)
		return fs < 0 ? fs : 0;
	return flags & TARGET_NO_SYMLINKS && st->stx_ino == PROC_ROOT_INO && kind_of(st) == S_IFDIR ? 0 : -EPERM;
}

/* The type that `create` asks for; 0 means that any will do and none is made. */
static long wanted_type(struct init *c, const struct argument *a)
{
	struct statx st;
	switch (a[A_TARGET_CREATE].i) {
	case CREATE_NOTHING:
		return 0;
	case CREATE_DIR:
		return S_IFDIR;
	case CREATE_FILE:
		return S_IFREG;
	case CREATE_LIKE:
		TRY(c, look((int)TRY(c, slot_fd(c, a[A_TARGET_LIKE].i, "like"), NULL), &st), "statx");
		return kind_of(&st) == S_IFDIR ? S_IFDIR : S_IFREG;
	default:
		return -EINVAL;
	}
}

static long op_target(struct init *c, const struct argument *a)
{
	const char *path = a[A_TARGET_PATH].s;
	i64 slot = a[A_TARGET_SLOT].i, flags = a[A_TARGET_FLAGS].i;
	bool symlinks = !(flags & TARGET_NO_SYMLINKS);
	struct statx st;
	long fd, error;
	if (absent(c, a[A_TARGET_LIKE].i))
		return fill(c, slot, ABSENT, path);
	u32 wanted = (u32)TRY(c, wanted_type(c, a), "target ", path);
	fd = open_below(c, path, O_PATH, symlinks ? 0 : RESOLVE_NO_SYMLINKS);
	bool made = fd == -ENOENT && wanted;
	if (made)
		fd = walk(c, path, (struct node){wanted | (a[A_TARGET_MODE].i & 07777), NO_DEVICE}, symlinks, NULL);
	if ((fd == -ENOENT || fd == -ENOTDIR) && flags & TARGET_OPTIONAL)
		return fill(c, slot, ABSENT, path);
	TRY(c, fd, "target ", path);
	error = look((int)fd, &st);
	if (!error)
		error = judge_target(c, &st, (int)fd, flags, wanted);
	if (error) {
		sys(close, fd);
		return FAIL(c, error, "target ", path);
	}
	TRY(c, fill(c, slot, fd, path), NULL);
	c->slots[slot].made = made;
	return 0;
}

/* What was just made, pinned: it must still be of that type, and gets its owner and exact mode. */
static long own_node(struct init *c, int parent, const struct place *p, struct node node, i64 uid, i64 gid)
{
	struct statx st;
	long done;
	held_fd fd = (int)sys(openat, parent, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fd;
	done = look(fd, &st);
	if (done == 0 && kind_of(&st) != (node.mode & S_IFMT))
		return -EEXIST;
	if (done == 0 && (st.stx_uid != (u32)uid || st.stx_gid != (u32)gid))
		done = sys(fchownat, fd, "", uid, gid, AT_EMPTY_PATH);
	if (done == 0) /* chown may have cleared bits, a default ACL of the parent others */
		done = look(fd, &st);
	if (done == 0 && (st.stx_mode & 07777) != (node.mode & 07777))
		done = set_mode(c, fd, node.mode);
	return done;
}

/* Something where nothing is, a symlink to `to` or a node; -EEXIST otherwise. */
static long make_in(struct init *c, int parent, const struct place *p, struct node node, const char *to)
{
	char buffer[PATH_LIMIT + NAME_LIMIT + 2];
	struct text path = text_in(buffer, sizeof buffer);
	struct birth birth;
	struct statx st;
	long done = existing(parent, p->name, &st), told;
	if (done != -ENOENT)
		return done ? done : -EEXIST;
	add(&path, p->parent);
	add(&path, *p->parent ? "/" : "");
	add(&path, p->name);
	done = foresee(c, parent, path.at, node.mode, &birth);
	if (done == 0)
		done = to ? sys(symlinkat, to, parent, p->name) : make_node(parent, p->name, node);
	if (done && done != -EEXIST)
		return done;
	told = done ? announce(c, path.at, NULL, &birth) : announce_in(c, parent, p->name, path.at, &birth);
	return told ? told : done;
}

static long op_mkdir(struct init *c, const struct argument *a)
{
	const char *path = a[A_MKDIR_PATH].s;
	struct node node = {S_IFDIR | (a[A_MKDIR_MODE].i & 07777), NO_DEVICE};
	struct statx st;
	struct place p;
	held_fd parent = (int)TRY(c, open_parent(c, path, &p), "mkdir ", path);
	long made = make_in(c, parent, &p, node, NULL);
	if (made == -EEXIST && existing(parent, p.name, &st) == 0 && kind_of(&st) == S_IFDIR)
		return 0;
	TRY(c, made, "mkdir ", path);
	return TRY(c, own_node(c, parent, &p, node, a[A_MKDIR_UID].i, a[A_MKDIR_GID].i), "mkdir ", path);
}

/* The kernel's encoding of a device number for 32 bits (include/linux/kdev_t.h, new_encode_dev). */
static u32 device_number(u32 major, u32 minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

static long op_mknod(struct init *c, const struct argument *a)
{
	const char *path = a[A_MKNOD_PATH].s;
	u32 mode = (u32)a[A_MKNOD_MODE].i, major = (u32)a[A_MKNOD_MAJOR].i, minor = (u32)a[A_MKNOD_MINOR].i;
	bool numbered = (mode & S_IFMT) == S_IFCHR || (mode & S_IFMT) == S_IFBLK;
	struct node node = {mode, numbered ? device_number(major, minor) : NO_DEVICE};
	struct statx st;
	struct place p;
	held_fd parent = (int)TRY(c, open_parent(c, path, &p), "mknod ", path);
	long made = make_in(c, parent, &p, node, NULL);
	if (made == -EEXIST && existing(parent, p.name, &st) == 0 &&
	    is_device(&st, mode & S_IFMT, numbered ? major : 0, numbered ? minor : 0))
		return 0;
	TRY(c, made, "mknod ", path);
	return TRY(c, own_node(c, parent, &p, node, a[A_MKNOD_UID].i, a[A_MKNOD_GID].i), "mknod ", path);
}

static long op_symlink(struct init *c, const struct argument *a)
{
	const char *path = a[A_SYMLINK_PATH].s;
	struct place p;
	held_fd parent = (int)TRY(c, open_parent(c, path, &p), "symlink ", path);
	long made = make_in(c, parent, &p, (struct node){S_IFLNK | 0777, NO_DEVICE}, a[A_SYMLINK_TO].s);
	return made == -EEXIST ? 0 : TRY(c, made, "symlink ", path);
}

/* By now the rootfs is /; after setns there is no slot ROOT, and / is the container's. */
static long op_make_cwd(struct init *c, const struct argument *a)
{
	const char *path = a[A_MAKE_CWD_PATH].s;
	if (!c->slots[SLOT_ROOT].held) {
		long root = TRY(c, sys(openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC), "open /");
		TRY(c, fill(c, SLOT_ROOT, root, "/"), NULL);
	}
	held_fd fd = (int)open_below(c, path, O_PATH, 0);
	if (fd == -ENOENT)
		fd = (int)walk(c, path, (struct node){S_IFDIR | 0755, NO_DEVICE}, true, NULL);
	return fd < 0 ? FAIL(c, fd, "mkdir ", path) : 0;
}
