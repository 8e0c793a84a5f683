/* Mounts: made detached, completed by descriptor, attached to a descriptor.
 *
 * No path of the container is used here: mount points come from path.c as O_PATH descriptors.
 */

static long op_open(struct init *c, const struct argument *a)
{
	const char *path = a[A_OPEN_PATH].s;
	long fd = TRY(c, sys(openat, AT_FDCWD, path, a[A_OPEN_FLAGS].i | O_CLOEXEC, 0), "open ", path);
	return fill(c, a[A_OPEN_SLOT].i, fd, path);
}

static long op_open_tree(struct init *c, const struct argument *a)
{
	const char *path = a[A_OPEN_TREE_PATH].s;
	i64 slot = a[A_OPEN_TREE_SLOT].i;
	long fd = TRY(c, sys(open_tree, AT_FDCWD, path, a[A_OPEN_TREE_FLAGS].i | OPEN_TREE_CLOEXEC), "open_tree ", path);
	TRY(c, fill(c, slot, fd, path), NULL);
	return a[A_OPEN_TREE_FLAGS].i & OPEN_TREE_CLONE ? is_mount(c, slot, HOST_MOUNT) : 0;
}

static long op_propagation(struct init *c, const struct argument *a)
{
	const char *path = a[A_PROPAGATION_PATH].s;
	return TRY(c, sys(mount, NULL, path, NULL, a[A_PROPAGATION_FLAGS].i, NULL), "mount ", path);
}

static long op_attach_root(struct init *c, const struct argument *a)
{
	const char *path = a[A_ATTACH_ROOT_PATH].s;
	long tree = TRY(c, slot_fd(c, a[A_ATTACH_ROOT_SLOT].i, "root"), NULL);
	return TRY(c, sys(move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH), "move_mount ", path);
}

/* The file system's own words: each read of an fs context is one message, "e text" for an error. */
static long fs_failed(struct init *c, long error, int fs, const char *step, const char *type)
{
	char line[256];
	bool said = false;
	long n;
	FAIL(c, error, step, " ", type);
	while (fs >= 0 && (n = sys(read, fs, line, sizeof line - 1)) > 2) {
		line[n] = 0;
		if (line[n - 1] == '\n')
			line[n - 1] = 0;
		add(&c->detail, said ? "; " : ": ");
		add(&c->detail, line + 2);
		said = true;
	}
	return error;
}

static long set_option(int fs, const char *option)
{
	char key[NAME_LIMIT + 1];
	const char *equals = find_char(option, '=');
	if (!equals)
		return sys(fsconfig, fs, FSCONFIG_SET_FLAG, option, NULL, 0);
	if (equals - option > NAME_LIMIT)
		return -EINVAL;
	memcpy(key, option, (u64)(equals - option));
	key[equals - option] = 0;
	return sys(fsconfig, fs, FSCONFIG_SET_STRING, key, equals + 1, 0);
}

/* A tmpfs over something that was there keeps that thing's mode, unless a later option says otherwise. */
static long set_mode_like(struct init *c, int fs, i64 like)
{
	char octal[8], *digit = octal + sizeof octal - 1;
	struct statx st;
	u32 mode;
	TRY(c, look((int)TRY(c, slot_fd(c, like, "like"), NULL), &st), "statx");
	*digit = 0;
	for (mode = st.stx_mode & 07777; mode || !*digit; mode >>= 3)
		*--digit = (char)('0' + (mode & 7));
	return sys(fsconfig, fs, FSCONFIG_SET_STRING, "mode", digit, 0);
}

static long op_fsmount(struct init *c, const struct argument *a)
{
	const char *type = a[A_FSMOUNT_TYPE].s, *source = a[A_FSMOUNT_SOURCE].s;
	const char *cursor = a[A_FSMOUNT_OPTIONS].s, *option = "";
	i64 like = a[A_FSMOUNT_LIKE].i;
	long done = 0, mounted;
	if (absent(c, like))
		return fill(c, a[A_FSMOUNT_SLOT].i, ABSENT, type);
	held_fd fs = (int)TRY(c, sys(fsopen, type, FSOPEN_CLOEXEC), "fsopen ", type);
	if (*source)
		done = sys(fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0);
	if (done == 0 && like >= 0 && !c->slots[like].made)
		done = set_mode_like(c, fs, like);
	for (u32 i = 0; done == 0 && i < a[A_FSMOUNT_OPTIONS].n; i++)
		done = set_option(fs, option = next_string(&cursor));
	if (done < 0) {
		FAIL(c, done, "fsconfig ", *option ? option : "source or mode", " for ", type);
		return fs_failed(c, done, fs, "", "");
	}
	done = sys(fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (done < 0)
		return fs_failed(c, done, fs, "mount", type);
	mounted = sys(fsmount, fs, FSMOUNT_CLOEXEC, a[A_FSMOUNT_ATTRS].i);
	if (mounted < 0)
		return fs_failed(c, mounted, fs, "fsmount", type);
	TRY(c, fill(c, a[A_FSMOUNT_SLOT].i, mounted, type), NULL);
	return is_mount(c, a[A_FSMOUNT_SLOT].i, OWN_MOUNT);
}

static long clone_tree(int fd, u64 flags)
{
	return sys(open_tree, fd, "", flags | AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static long move_onto(int tree, int place)
{
	return sys(move_mount, tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/* A symlink that is there already must be the same one. */
static long copy_link(struct init *c, int link, const char *path)
{
	char wanted[PATH_LIMIT], found[PATH_LIMIT];
	struct place p;
	held_fd parent = (int)open_parent(c, path, &p);
	long n = sys(readlinkat, link, "", wanted, sizeof wanted - 1), made;
	if (parent < 0 || n < 0)
		return parent < 0 ? parent : n;
	wanted[n] = 0;
	made = make_in(c, parent, &p, (struct node){S_IFLNK, NO_DEVICE}, wanted);
	if (made == -EEXIST)
		return sys(readlinkat, parent, p.name, found, sizeof found) == n && !memcmp(found, wanted, (u64)n) ? 0 : -EEXIST;
	return made;
}

static long op_copy_symlink(struct init *c, const struct argument *a)
{
	const char *source = a[A_COPY_SYMLINK_SOURCE].s, *path = a[A_COPY_SYMLINK_PATH].s;
	struct statx st;
	held_fd fd = (int)TRY(c, sys(openat, AT_FDCWD, source, O_PATH | O_NOFOLLOW | O_CLOEXEC), "open ", source);
	TRY(c, look(fd, &st), "statx ", source);
	if (kind_of(&st) != S_IFLNK) {
		long tree = TRY(c, clone_tree(fd, AT_RECURSIVE), "open_tree ", source);
		TRY(c, fill(c, a[A_COPY_SYMLINK_SLOT].i, tree, source), NULL);
		return is_mount(c, a[A_COPY_SYMLINK_SLOT].i, HOST_MOUNT);
	}
	TRY(c, copy_link(c, fd, path), "symlink ", path);
	return fill(c, a[A_COPY_SYMLINK_SLOT].i, ABSENT, source);
}

/* mount(2) takes its target as a path only.  The path is relative to slot PROC, not /proc: what stands at
 * /proc may be the container's.  The working directory comes back afterwards. */
static long mount_on(struct init *c, i64 target, const char *source, const char *type, i64 flags, const char *data)
{
	char buffer[32];
	struct text path = text_in(buffer, sizeof buffer);
	long proc = TRY(c, slot_fd(c, SLOT_PROC, "PROC"), NULL);
	long place = TRY(c, slot_fd(c, target, "target"), NULL), done;
	held_fd here = (int)TRY(c, sys(openat, AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC), "open .");
	add(&path, "self/fd/");
	add_number(&path, place);
	TRY(c, sys(fchdir, proc), "fchdir /proc");
	done = sys(mount, source, path.at, type, flags, data);
	TRY(c, sys(fchdir, here), "fchdir");
	return done;
}

static long op_legacy_mount(struct init *c, const struct argument *a)
{
	i64 target = a[A_LEGACY_MOUNT_TARGET].i;
	const char *type = a[A_LEGACY_MOUNT_TYPE].s;
	if (absent(c, target))
		return 0;
	return TRY(c,
		   mount_on(c, target, a[A_LEGACY_MOUNT_SOURCE].s, type, a[A_LEGACY_MOUNT_FLAGS].i,
			    a[A_LEGACY_MOUNT_DATA].s),
		   "mount ", type, " ", path_of(c, target));
}

static long op_remount(struct init *c, const struct argument *a)
{
	i64 target = a[A_REMOUNT_TARGET].i;
	if (absent(c, target))
		return 0;
	return TRY(c, mount_on(c, target, NULL, NULL, a[A_REMOUNT_FLAGS].i | MS_REMOUNT, a[A_REMOUNT_DATA].s),
		   "remount ", path_of(c, target));
}

static long op_clone_mount(struct init *c, const struct argument *a)
{
	i64 source = a[A_CLONE_MOUNT_SOURCE].i, slot = a[A_CLONE_MOUNT_SLOT].i;
	if (absent(c, source))
		return fill(c, slot, ABSENT, path_of(c, source));
	long tree = TRY(c, clone_tree((int)TRY(c, slot_fd(c, source, "source"), NULL), (u64)a[A_CLONE_MOUNT_FLAGS].i),
			"open_tree ", path_of(c, source));
	TRY(c, fill(c, slot, tree, path_of(c, source)), NULL);
	return is_mount(c, slot, LAYER_MOUNT);
}

static long op_mount_attr(struct init *c, const struct argument *a)
{
	i64 slot = a[A_MOUNT_ATTR_SLOT].i, userns = a[A_MOUNT_ATTR_USERNS].i;
	struct mount_attr attr = {
		.attr_set = (u64)a[A_MOUNT_ATTR_SET].i,
		.attr_clr = (u64)a[A_MOUNT_ATTR_CLEAR].i,
		.propagation = (u64)a[A_MOUNT_ATTR_PROPAGATION].i,
	};
	u32 flags = AT_EMPTY_PATH | (a[A_MOUNT_ATTR_RECURSIVE].i ? AT_RECURSIVE : 0);
	if (absent(c, slot))
		return 0;
	if (userns >= 0) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (u64)TRY(c, slot_fd(c, userns, "userns"), NULL);
	}
	return TRY(c, sys(mount_setattr, TRY(c, slot_fd(c, slot, "mount"), NULL), "", flags, &attr, sizeof attr),
		   "mount_setattr ", path_of(c, slot));
}

static long op_attach(struct init *c, const struct argument *a)
{
	i64 slot = a[A_ATTACH_SLOT].i, target = a[A_ATTACH_TARGET].i;
	if (absent(c, slot) || absent(c, target))
		return 0;
	long tree = TRY(c, slot_fd(c, slot, "mount"), NULL), place = TRY(c, slot_fd(c, target, "target"), NULL);
	return TRY(c, move_onto((int)tree, (int)place), "move_mount ", path_of(c, slot), " to ", path_of(c, target));
}

/* A symlink of the rootfs may have led a mount to where a later one covers it. */
static long op_expect_mount(struct init *c, const struct argument *a)
{
	const char *path = a[A_EXPECT_MOUNT_PATH].s;
	struct statx wanted, found;
	TRY(c, look((int)TRY(c, slot_fd(c, a[A_EXPECT_MOUNT_SLOT].i, "mount"), NULL), &wanted), "statx of the mount");
	held_fd fd = (int)TRY(c, open_below(c, path, O_PATH, 0), "open ", path);
	TRY(c, look(fd, &found), "statx ", path);
	if (wanted.stx_mnt_id != found.stx_mnt_id)
		return FAIL(c, -EBUSY, path, " is a symlink in the rootfs, and leads to where something else is mounted");
	return 0;
}

/* Kept as a detached clone, not as the descriptor of a file: after pivot_root that file's mount is gone. */
static long op_open_null(struct init *c, const struct argument *a)
{
	struct statx st;
	held_fd fd = (int)TRY(c, sys(openat, AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC), "open /dev/null");
	TRY(c, look(fd, &st), "statx /dev/null");
	if (!is_device(&st, S_IFCHR, 1, 3))
		return FAIL(c, -ENODEV, "/dev/null is not the null device");
	c->null_attached = false;
	held_fd tree = (int)TRY(c, clone_tree(fd, 0), "open_tree /dev/null");
	/* It is the host's inode: read-only, so that nobody inside changes its mode, owner or times. */
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC};
	TRY(c, sys(mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr), "mount_setattr /dev/null");
	long kept = tree;
	tree = -1;
	return fill(c, a[A_OPEN_NULL_SLOT].i, kept, "/dev/null");
}

/* The first place gets the mount itself, later ones a clone: a detached mount cannot be cloned before 6.15. */
static long attach_or_clone(struct init *c, i64 slot, bool *attached, int place, const char *what)
{
	long tree = TRY(c, slot_fd(c, slot, what), NULL), done;
	if (!*attached) {
		done = move_onto((int)tree, place);
		*attached = done == 0;
		return done;
	}
	held_fd copy = (int)clone_tree((int)tree, 0);
	return copy < 0 ? copy : move_onto(copy, place);
}

/* Below a mount that was made here, by its descriptor: its mount point may have another name by now, and then
 * the path from the rootfs leads past it. */
static long open_in(struct init *c, i64 base, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -EAGAIN;
	if (base < 0)
		return open_below(c, path, O_PATH, 0);
	long mount = TRY(c, slot_fd(c, base, "base"), NULL);
	for (u32 i = 0; i < EAGAIN_LIMIT && (fd == -EAGAIN || fd == -EINTR); i++)
		fd = sys(openat2, mount, *path ? path : ".", &how, sizeof how);
	return fd;
}

static long op_mask(struct init *c, const struct argument *a)
{
	const char *path = a[A_MASK_PATH].s;
	struct statx st;
	held_fd place = (int)open_in(c, a[A_MASK_BASE].i, path);
	if (place == -ENOENT || place == -ENOTDIR)
		return 0;
	TRY(c, place, "mask ", path);
	TRY(c, look(place, &st), "statx ", path);
	return TRY(c,
		   kind_of(&st) == S_IFDIR ? attach_or_clone(c, SLOT_MASK, &c->mask_attached, place, "MASK")
					   : attach_or_clone(c, SLOT_NULL, &c->null_attached, place, "NULL"),
		   "mask ", path);
}

static long op_readonly_path(struct init *c, const struct argument *a)
{
	const char *path = a[A_READONLY_PATH_PATH].s;
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	held_fd place = (int)open_in(c, a[A_READONLY_PATH_BASE].i, path);
	if (place == -ENOENT || place == -ENOTDIR)
		return 0;
	TRY(c, place, "readonly path ", path);
	held_fd tree = (int)TRY(c, clone_tree(place, AT_RECURSIVE), "open_tree ", path);
	TRY(c, sys(mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr), "mount_setattr ", path);
	return TRY(c, move_onto(tree, place), "move_mount ", path);
}

static long enter_root(struct init *c)
{
	return TRY(c, sys(fchdir, TRY(c, slot_fd(c, SLOT_ROOT, "ROOT"), NULL)), "fchdir to the rootfs");
}

/* pivot_root(2), NOTES: new and old root may be the same directory; the old one then lies on top. */
static long op_pivot_root(struct init *c, const struct argument *a)
{
	struct mount_attr slave = {.propagation = MS_SLAVE};
	held_fd old = (int)TRY(c, sys(openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC), "open /");
	(void)a;
	TRY(c, enter_root(c), NULL);
	TRY(c, sys(pivot_root, ".", "."), "pivot_root");
	/* A shared rootfsPropagation must not carry the umount back to the host. */
	TRY(c, sys(mount_setattr, old, "", AT_EMPTY_PATH | AT_RECURSIVE, &slave, sizeof slave), "mount_setattr /");
	TRY(c, sys(fchdir, old), "fchdir to the old root");
	TRY(c, sys(umount2, ".", MNT_DETACH_FLAG), "umount the old root");
	c->inside = true;
	return TRY(c, sys(chdir, "/"), "chdir /");
}

static long change_root(struct init *c)
{
	TRY(c, enter_root(c), NULL);
	TRY(c, sys(chroot, "."), "chroot");
	c->inside = true;
	return TRY(c, sys(chdir, "/"), "chdir /");
}

/* Without pivot_root the host's tree stays reachable for who can break a chroot, and a full procfs in it
 * would let the container mount new ones: both are hidden first. */
static long op_move_root(struct init *c, const struct argument *a)
{
	static const char *const full[] = {"/proc", "/sys"};
	const char *path = a[A_MOVE_ROOT_PATH].s;
	long root = TRY(c, slot_fd(c, SLOT_ROOT, "ROOT"), NULL);
	for (u32 i = 0; i < 2; i++) {
		long done = sys(umount2, full[i], MNT_DETACH_FLAG | UMOUNT_NOFOLLOW_FLAG);
		if (done == -EINVAL || done == -EPERM) /* locked by a user namespace: only covering it is left */
			done = sys(mount, "tmpfs", full[i], "tmpfs", 0, NULL);
		if (done != -ENOENT)
			TRY(c, done, "umount ", full[i]);
	}
	TRY(c, sys(move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH), "move_mount ", path, " to /");
	return change_root(c);
}

/* What a container has mounted in a namespace of others stays there after it, until somebody takes it away. */
static long op_detach(struct init *c, const struct argument *a)
{
	long done = sys(umount2, a[A_DETACH_PATH].s, MNT_DETACH_FLAG | UMOUNT_NOFOLLOW_FLAG);
	return done == -EINVAL || done == -ENOENT ? 0 : TRY(c, done, "umount ", a[A_DETACH_PATH].s);
}

static long op_chroot(struct init *c, const struct argument *a)
{
	(void)a;
	return change_root(c);
}
