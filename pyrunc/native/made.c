/* What is made on the host's files, mostly mount points: told to the runtime before and after, and removed.
 *
 * The runtime writes it down before it exists.  Should the runtime be killed then, whoever deletes the container
 * still finds the object.  What lies on a mount that goes away with the container needs none of this.
 */

#define TICK 20000000ll /* nanoseconds: file times come from a clock that ticks no slower, and never run ahead */

#define LATEST 2000000000ll /* what was made so long after the note was made by somebody else */
#define FACTS_LIMIT 96 /* characters before the path in CREATED: four numbers */

/* Where something is about to be made: the slot of the mount that it will lie on (-1: one that goes away with the
 * container), and where in its path from the rootfs the path from that mount's root begins. */
struct birth {
	i64 slot;
	u32 skip;
};

/* When an object was made, in nanoseconds; 0 where the file system does not say. */
static i64 born(const struct statx *st)
{
	return st->stx_mask & STATX_BTIME ? st->stx_btime.tv_sec * 1000000000ll + st->stx_btime.tv_nsec : 0;
}

/* Says of the mount in a slot what kind it is. */
static long is_mount(struct init *c, i64 slot, enum mount_kind kind)
{
	struct statx st;
	TRY(c, look((int)TRY(c, slot_fd(c, slot, "mount"), NULL), &st), "statx of the mount of ", path_of(c, slot));
	c->slots[slot].mount = kind;
	c->slots[slot].mount_id = st.stx_mnt_id;
	return 0;
}

/* A slot of slot ROOT's kind that nobody has cloned is the host's. */
static i64 slot_of_mount(struct init *c, u64 id)
{
	struct statx st;
	for (i64 n = 0; n < c->top; n++)
		if (c->slots[n].mount != NO_MOUNT && c->slots[n].mount_id == id)
			return n;
	if (c->slots[SLOT_ROOT].held > 0 && c->slots[SLOT_ROOT].mount == NO_MOUNT &&
	    look(c->slots[SLOT_ROOT].held - 1, &st) == 0 && st.stx_mnt_id == id)
		return SLOT_ROOT;
	return -1;
}

/* On which mount of a slot the last component of `path`, free of symlinks, lies.  A mount that is in no slot came
 * along with the one below it, as a part of a recursive clone. */
static long find_mount(struct init *c, const char *path, u64 id, struct birth *b)
{
	char part[PATH_LIMIT + NAME_LIMIT + 2];
	struct statx st;
	u64 last = 0;
	i64 known = slot_of_mount(c, id);
	*b = (struct birth){.slot = known < 0 ? SLOT_ROOT : known};
	if (known == SLOT_ROOT || (known >= 0 && c->slots[known].mount == OWN_MOUNT))
		return 0;
	memcpy(part, path, strlen(path) + 1);
	for (u32 i = 1; part[i]; i++) {
		if (part[i] != '/')
			continue;
		part[i] = 0;
		held_fd fd = (int)open_below(c, part, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
		long done = fd < 0 ? fd : look(fd, &st);
		if (done < 0)
			return done;
		part[i] = '/';
		i64 slot = st.stx_mnt_id == last ? -1 : slot_of_mount(c, st.stx_mnt_id);
		last = st.stx_mnt_id;
		if (slot >= 0)
			*b = (struct birth){slot, slot == SLOT_ROOT ? 0 : i + 1};
	}
	return 0;
}

/* Tells the runtime what is going to be made, and waits until it has written that down. */
static long foresee(struct init *c, int parent, const char *path, u32 mode, struct birth *b)
{
	struct statx st;
	*b = (struct birth){.slot = -1};
	if (c->sock < 0)
		return 0;
	TRY(c, look(parent, &st), "statx of the parent of ", path);
	TRY(c, find_mount(c, path, st.stx_mnt_id, b), "find the mount of ", path);
	if (c->slots[b->slot].mount == OWN_MOUNT)
		b->slot = -1;
	if (b->slot < 0 || c->slots[b->slot].mount == LAYER_MOUNT)
		return 0;
	if (strlen(path + b->skip) + FACTS_LIMIT >= DETAIL_LIMIT)
		return -ENAMETOOLONG;
	add_number(&c->detail, b->slot);
	add(&c->detail, " ");
	add(&c->detail, path + b->skip);
	TRY(c, tell(c, MSG_MAKING, mode, 0), "send MAKING");
	wait_for_runtime(c);
	return 0;
}

/* Tells which object it has become; without `st`, that it was made by somebody else. */
static long announce(struct init *c, const char *path, const struct statx *st, const struct birth *b)
{
	const i64 facts[] = {b->slot, st ? (i64)device_of(st) : 0, st ? (i64)st->stx_ino : 0, st ? born(st) : 0};
	if (b->slot < 0)
		return 0;
	for (u32 i = 0; i < sizeof facts / sizeof *facts; i++) {
		add_number(&c->detail, facts[i]);
		add(&c->detail, " ");
	}
	add(&c->detail, path + b->skip);
	return TRY(c, tell(c, MSG_CREATED, 0, 0), "send CREATED");
}

/* The same for an object that was just made in a directory. */
static long announce_in(struct init *c, int parent, const char *name, const char *path, const struct birth *b)
{
	struct statx st;
	if (b->slot < 0)
		return 0;
	TRY(c, existing(parent, name, &st), "statx ", path);
	return announce(c, path, &st, b);
}

/* Whether an object has the owner and mode with which it would have been made in that directory: one whose group is
 * inherited gives that to what is made in it, and the bit to directories. */
static bool is_as_foreseen(const struct statx *st, const struct statx *parent, const struct argument *a)
{
	bool inherited = parent->stx_mode & S_ISGID;
	u32 mode = (u32)a[A_REMOVE_MODE].i;
	if (inherited && (mode & S_IFMT) == S_IFDIR)
		mode |= S_ISGID;
	return st->stx_mode == mode && st->stx_uid == (u32)a[A_REMOVE_UID].i &&
	       st->stx_gid == (inherited ? parent->stx_gid : (u32)a[A_REMOVE_GID].i);
}

/* Whether it still is the empty object that was made.  Inode numbers are given out again, so the time of birth counts;
 * where the runtime was killed before it knew the object, `made` is when it was about to be made. */
static bool is_as_made(const struct statx *st, const struct statx *parent, const struct argument *a)
{
	i64 made = a[A_REMOVE_BORN].i, time = born(st);
	if (kind_of(st) != (a[A_REMOVE_MODE].i & S_IFMT) || (kind_of(st) == S_IFREG && st->stx_size))
		return false;
	if (a[A_REMOVE_INODE].i)
		return (i64)st->stx_ino == a[A_REMOVE_INODE].i && (i64)device_of(st) == a[A_REMOVE_DEVICE].i &&
		       (!made || !time || time == made);
	if (!is_as_foreseen(st, parent, a))
		return false;
	if (!time)
		time = st->stx_ctime.tv_sec * 1000000000ll + st->stx_ctime.tv_nsec;
	return time >= made - TICK && time <= made + LATEST;
}

/* Gone, moved, in use or filled by somebody: then it is not ours to remove. */
static bool is_not_ours(long error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -ELOOP || error == -EXDEV || error == -EBUSY ||
	       error == -ENOTEMPTY || error == -EEXIST || error == -EISDIR || error == -EROFS;
}

static long remove_made(const struct argument *a)
{
	char parent[PATH_LIMIT];
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	const char *path = a[A_REMOVE_PATH].s;
	struct statx st, above;
	u64 name = strlen(path);
	while (name && path[name - 1] != '/')
		name--;
	if (name >= PATH_LIMIT)
		return -ENAMETOOLONG;
	memcpy(parent, path, name);
	parent[name] = 0;
	held_fd base = (int)sys(openat, AT_FDCWD, a[A_REMOVE_BASE].s, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return base;
	held_fd fd = (int)sys(openat2, base, name ? parent : ".", &how, sizeof how);
	long done = fd < 0 ? fd : look(fd, &above);
	if (done == 0)
		done = existing(fd, path + name, &st);
	if (done < 0 || !is_as_made(&st, &above, a))
		return done;
	return sys(unlinkat, fd, path + name, kind_of(&st) == S_IFDIR ? AT_REMOVEDIR : 0);
}

static long op_remove(struct init *c, const struct argument *a)
{
	long done = remove_made(a);
	if (done == 0 || is_not_ours(done))
		return 0;
	add(&c->detail, "cannot remove ");
	add(&c->detail, a[A_REMOVE_BASE].s);
	add(&c->detail, "/");
	add(&c->detail, a[A_REMOVE_PATH].s);
	add(&c->detail, ": ");
	add_error(&c->detail, -done);
	return TRY(c, tell(c, MSG_WARNING, 0, 0), "send WARNING");
}
