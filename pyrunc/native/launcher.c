/* The `pyrunc` executable: starts the real interpreter, isolated and without site, on the package.
 *
 * Engines call a runtime by absolute path with no PATH, HOME or LANG, perhaps in a deleted directory, perhaps
 * without stdio; a script with a #! line would need the first, and a pyenv shim costs 40 ms.  So it finds
 * everything from where it lies: BIN/pyrunc belongs to PREFIX/lib/python3.N, or, in an editable install, to
 * the source directory PYRUNC_SOURCE that holds the package.
 */

#include "sys.h"

#include <linux/stat.h>

#define MINIMUM_VERSION 11
#define X_OK_MODE 1
#define AT_EACCESS_FLAG 0x200

#define PATH_TEXT(name)                                                                                                \
	char name##_buffer[PATH_LIMIT];                                                                                \
	struct text name = text_in(name##_buffer, sizeof name##_buffer)

struct directory_entry {
	u64 inode, offset;
	u16 length;
	u8 type;
	char name[];
};

struct found {
	struct text interpreter, package;
	const char *bin;
	long minor; /* of an interpreter whose version is in its name, else -1 */
};

static void join(struct text *t, const char *a, const char *b)
{
	*t = text_in(t->at, t->limit);
	add(t, a);
	add(t, b);
}

static int exists(const char *path)
{
	return sys(faccessat, AT_FDCWD, path, 0) == 0;
}

/* An interpreter that can be started, and no script (a pyenv shim is one). */
static int is_elf(const char *path)
{
	char magic[4];
	held_fd fd = (int)sys(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && sys(faccessat2, AT_FDCWD, path, X_OK_MODE, AT_EACCESS_FLAG) == 0 &&
	       retry_read(fd, magic, 4) == 4 && !memcmp(magic, "\x7f" "ELF", 4);
}

/* PREFIX/lib/python3.N/KIND-packages/pyrunc/__main__.py */
static int package_of(struct found *f, const char *prefix, long minor)
{
	static const char *const kinds[] = {"/site-packages", "/dist-packages"};
	for (u32 i = 0; i < 2; i++) {
		join(&f->package, prefix, "/lib/python3");
		if (minor >= 0) {
			add(&f->package, ".");
			add_number(&f->package, minor);
		}
		add(&f->package, kinds[i]);
		add(&f->package, "/pyrunc/__main__.py");
		if (exists(f->package.at))
			return 1;
	}
	return 0;
}

/* The newest python3.N below PREFIX/lib that holds the package (or, without `package`, any); -1: none. */
static long newest(struct found *f, const char *prefix, int package)
{
	char entries[4096] __attribute__((aligned(8)));
	PATH_TEXT(lib);
	long n, best = -1;
	join(&lib, prefix, "/lib");
	held_fd fd = (int)sys(openat, AT_FDCWD, lib.at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && (n = sys(getdents64, fd, entries, sizeof entries)) > 0)
		for (long at = 0; at < n;) {
			const struct directory_entry *entry = (const void *)(entries + at);
			long minor = starts_with(entry->name, "python3.") ? parse_number(entry->name + 8, 0) : -1;
			if (minor > best && minor >= MINIMUM_VERSION && (!package || package_of(f, prefix, minor)))
				best = minor;
			at += entry->length;
		}
	return best;
}

/* DIRECTORY/python3.N, else DIRECTORY/python3. */
static int interpreter_in(struct found *f, const char *directory, long minor)
{
	f->minor = minor;
	join(&f->interpreter, directory, "/python3.");
	add_number(&f->interpreter, minor);
	if (minor >= 0 && is_elf(f->interpreter.at))
		return 1;
	f->minor = -1;
	join(&f->interpreter, directory, "/python3");
	return is_elf(f->interpreter.at);
}

/* The line `home = DIRECTORY` of pyvenv.cfg: where the base interpreter of a virtual environment is. */
static int read_home(const char *prefix, struct text *home)
{
	char content[4096], *line, *next;
	PATH_TEXT(path);
	long n;
	join(&path, prefix, "/pyvenv.cfg");
	held_fd fd = (int)sys(openat, AT_FDCWD, path.at, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (n = retry_read(fd, content, sizeof content - 1)) <= 0)
		return 0;
	content[n] = 0;
	for (line = content; *line; line = next) {
		char *at = line + 4;
		char *end = line;
		while (*end && *end != '\n')
			end++;
		next = *end ? end + 1 : end;
		while (end > line && (end[-1] == '\r' || end[-1] == ' '))
			end--;
		*end = 0;
		if (!starts_with(line, "home"))
			continue;
		while (*at == ' ')
			at++;
		if (*at++ != '=')
			continue;
		while (*at == ' ')
			at++;
		join(home, at, "");
		return 1;
	}
	return 0;
}

static int find(struct found *f, const char *prefix)
{
	PATH_TEXT(home);
	long minor = newest(f, prefix, 1);
	if (minor >= 0)
		package_of(f, prefix, minor);
	/* Debian's interpreter keeps pip's packages in lib/python3.N, its own in lib/python3. */
	else if (!package_of(f, prefix, -1)) {
#ifdef PYRUNC_SOURCE
		join(&f->package, PYRUNC_SOURCE, "/pyrunc/__main__.py");
		if (!exists(f->package.at))
#endif
			return 0;
	}
	if (minor < 0)
		minor = newest(f, prefix, 0);
	if (read_home(prefix, &home))
		return interpreter_in(f, home.at, minor);
	if (minor < 0)
		minor = newest(f, "/usr", 0);
	return interpreter_in(f, f->bin, minor) || interpreter_in(f, "/usr/bin", minor) ||
	       interpreter_in(f, "/usr/local/bin", minor);
}

/* The start-up image of exactly that interpreter, built by cli/image.py, starts sooner than __main__.py. */
static void prefer_image(struct found *f)
{
	PATH_TEXT(image);
	u32 length = f->package.used - (u32)(sizeof "__main__.py" - 1);
	if (f->minor < 0)
		return;
	add_bytes(&image, f->package.at, length);
	add(&image, "native/image.cpython-3");
	add_number(&image, f->minor);
	if (exists(image.at))
		join(&f->package, image.at, "");
}

/* Descriptors 0 to 2 must not become something else's. */
static void open_stdio(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (sys(fcntl, fd, F_GETFD, 0) == -EBADF)
			sys(openat, AT_FDCWD, "/dev/null", O_RDWR);
}

static _Noreturn void leave(const char *a, const char *b, const char *c)
{
	PATH_TEXT(line);
	join(&line, "pyrunc: ", a);
	add(&line, b);
	add(&line, c);
	add(&line, "\n");
	retry_write(2, line.at, line.used);
	for (;;)
		sys(exit_group, 127);
}

static const char *base_name(const char *path)
{
	const char *name = path;
	for (; *path; path++)
		if (*path == '/')
			name = path + 1;
	return name;
}

static _Noreturn void start(int argc, char **argv)
{
	PATH_TEXT(bin);
	PATH_TEXT(prefix);
	PATH_TEXT(interpreter);
	PATH_TEXT(package);
	struct found f = {interpreter, package, bin.at, -1};
	const char *command[argc + 11];
	PATH_TEXT(option);
	char name[NAME_LIMIT + 1];
	struct text called = text_in(name, sizeof name);
	int count = 0;
	long n;
	open_stdio();
	n = sys(readlinkat, AT_FDCWD, "/proc/self/exe", bin.at, bin.limit - 1);
	if (n <= 0)
		leave("cannot read /proc/self/exe: is /proc mounted?", "", "");
	bin.at[bin.used = (u32)n] = 0;
	drop_component(&bin);
	join(&prefix, bin.at, "");
	drop_component(&prefix);
	if (!find(&f, prefix.at)) {
		if (!f.package.used || !exists(f.package.at))
			leave("the package pyrunc is neither in ", prefix.at, "/lib/python3.*/site-packages nor in its source directory");
		leave("no Python 3.11 or newer for ", f.package.at, ": looked for an executable (not a script) named by pyvenv.cfg, "
		      "next to this program, in /usr/bin and in /usr/local/bin");
	}
	prefer_image(&f);
	command[count++] = f.interpreter.at;
	command[count++] = "-I";
	command[count++] = "-S";
	command[count++] = "-X";
	command[count++] = "utf8";
	/* sys._xoptions["pyrunc_prefix"]: where the libraries of this installation are; -S does not look for them. */
	join(&option, "pyrunc_prefix=", prefix.at);
	command[count++] = "-X";
	command[count++] = option.at;
	if (argc > 0 && !streq(base_name(argv[0]), "pyrunc")) {
		/* sys._xoptions["pyrunc_called"]: callers that insist on "runc version" call it by that name. */
		add(&called, "pyrunc_called=");
		add(&called, base_name(argv[0]));
		command[count++] = "-X";
		command[count++] = called.at;
	}
	command[count++] = f.package.at;
	for (int i = 1; i < argc; i++)
		command[count++] = argv[i];
	command[count] = NULL;
	sys(execve, command[0], command, argv + argc + 1);
	leave("cannot execute ", command[0], "");
}

_Noreturn void start_c(long *stack);
_Noreturn void start_c(long *stack)
{
	start((int)stack[0], (char **)(stack + 1));
}
