/* The terminal of the process and the owner of its stdio. */

static long set_terminal(int fd, const struct argument *a)
{
	struct termios settings;
	struct winsize size = {(u16)a[A_OPEN_PTY_ROWS].i, (u16)a[A_OPEN_PTY_COLUMNS].i, 0, 0};
	int locked = 0;
	long done = sys(ioctl, fd, TIOCSPTLCK, &locked);
	if (done == 0)
		done = sys(ioctl, fd, TCGETS, &settings);
	if (!a[A_OPEN_PTY_ONLCR].i)
		settings.c_oflag &= ~(tcflag_t)ONLCR;
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
		place = (int)walk(c, "dev/console", (struct node){S_IFREG | 0600, NO_DEVICE}, false, NULL);
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

/* A null device of the host on stdio is replaced by the container's: with the host's, a root inside could change the
 * mode and the owner of the host's node.  One that the container does not have stays. */
static long own_null(struct init *c, int fd)
{
	struct statx st;
	held_fd null = (int)sys(openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || look(null, &st) < 0 || !is_device(&st, S_IFCHR, 1, 3))
		return 0;
	return TRY(c, sys(dup3, null, fd, 0), "dup3 of /dev/null");
}

/* So that the process may reopen /dev/stdout.  A terminal of the caller stays whose it is; a
 * uid that has no mapping there, or a read-only file system, keeps the owner, as runc does. */
static long op_stdio_owner(struct init *c, const struct argument *a)
{
	i64 uid = a[A_STDIO_OWNER_UID].i;
	struct termios settings;
	struct statx st;
	for (int fd = 0; fd < 3; fd++) {
		long done;
		if (look(fd, &st) < 0)
			continue;
		if (is_device(&st, S_IFCHR, 1, 3)) {
			TRY(c, own_null(c, fd), NULL);
			continue;
		}
		if (st.stx_uid == (u32)uid)
			continue;
		if (kind_of(&st) == S_IFCHR && sys(ioctl, fd, TCGETS, &settings) == 0)
			continue;
		done = sys(fchown, fd, uid, -1);
		if (done != -EINVAL && done != -EPERM && done != -EROFS)
			TRY(c, done, "fchown of stdio");
	}
	return 0;
}
