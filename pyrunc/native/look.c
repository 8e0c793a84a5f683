/* Opening and looking at objects below the rootfs, and making one: what the files after this one have in common. */

#define EAGAIN_LIMIT 128 /* openat2(2): ".." and a rename at the same time */
#define NO_DEVICE 0

/* What to create where a path is absent. */
struct node {
	u32 mode; /* type and permissions; 0 creates nothing */
	u32 device;
};

static long open_below(struct init *c, const char *path, u64 flags, u64 resolve)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve,
	};
	long root = TRY(c, slot_fd(c, SLOT_ROOT, "ROOT"), NULL), fd = -EAGAIN;
	for (u32 i = 0; i < EAGAIN_LIMIT && (fd == -EAGAIN || fd == -EINTR); i++)
		fd = sys(openat2, root, *path ? path : ".", &how, sizeof how);
	return fd;
}

/* The descriptor of something opened without following; statx needs no libc's idea of struct stat. */
static long look(int fd, struct statx *st)
{
	return sys(statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, st);
}

static long existing(int parent, const char *name, struct statx *st)
{
	return sys(statx, parent, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, st);
}

static u32 kind_of(const struct statx *st)
{
	return st->stx_mode & S_IFMT;
}

static bool is_device(const struct statx *st, u32 type, u32 major, u32 minor)
{
	return kind_of(st) == type && st->stx_rdev_major == major && st->stx_rdev_minor == minor;
}

static long file_system_of(int fd)
{
	struct statfs fs;
	long got = sys(fstatfs, fd, &fs);
	return got < 0 ? got : (long)fs.f_type;
}

/* chmod of whatever an O_PATH descriptor holds; fchmodat2 came with 6.6. */
static long set_mode(struct init *c, int fd, u32 mode)
{
	char buffer[32];
	struct text path = text_in(buffer, sizeof buffer);
	long done = sys(fchmodat2, fd, "", mode & 07777, AT_EMPTY_PATH);
	if (done != -ENOSYS)
		return done;
	add(&path, "self/fd/");
	add_number(&path, fd);
	return sys(fchmodat, TRY(c, slot_fd(c, SLOT_PROC, "PROC"), NULL), path.at, mode & 07777);
}

/* Modes are what the plan says, whatever umask the caller had. */
static long make_node(int parent, const char *name, struct node node)
{
	long old = sys(umask, 0);
	long done = kind_of(&(struct statx){.stx_mode = (u16)node.mode}) == S_IFDIR
			    ? sys(mkdirat, parent, name, node.mode & 07777)
			    : sys(mknodat, parent, name, node.mode, node.device);
	sys(umask, old);
	return done;
}

/* dev_t as user space sees it (makedev(3)). */
static u64 device_of(const struct statx *st)
{
	u64 major = st->stx_dev_major, minor = st->stx_dev_minor;
	return (major & 0xfffff000) << 32 | (major & 0xfff) << 8 | (minor & 0xffffff00) << 12 | (minor & 0xff);
}
