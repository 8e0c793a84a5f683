/* HOME for a process whose config has none: from the container's own /etc/passwd, as with runc and crun. */

#define PASSWD_LIMIT (1 << 24) /* the file is the container's, and may be as long as that likes */

/* passwd(5): NAME:PASSWORD:UID:GID:GECOS:HOME:SHELL */
enum { UID_FIELD = 2, HOME_FIELD = 5 };

struct user_line {
	u32 field, digits;
	u64 uid;
	bool no_number;
	struct text home;
};

static void start_line(struct init *c, struct user_line *line)
{
	*line = (struct user_line){.home = text_in(c->home_text, sizeof c->home_text)};
	add(&line->home, "HOME=");
}

/* Takes a letter of the file: does it end the line of user uid? */
static bool ends_line_of(struct user_line *line, char letter, u64 uid)
{
	if (letter == '\n')
		return line->field >= HOME_FIELD && line->digits && !line->no_number && line->uid == uid;
	if (letter == ':')
		line->field++;
	else if (line->field == HOME_FIELD)
		add_bytes(&line->home, &letter, 1);
	else if (line->field == UID_FIELD) {
		line->no_number |= letter < '0' || letter > '9' || ++line->digits > 10;
		line->uid = line->uid * 10 + (u64)(letter - '0');
	}
	return false;
}

/* Leaves HOME=DIRECTORY in home_text, if there is a line of that user. */
static bool find_home(struct init *c, int fd, u64 uid)
{
	char chunk[4096];
	struct user_line line;
	start_line(c, &line);
	for (long read = 0, n; read < PASSWD_LIMIT; read += n) {
		n = retry_read(fd, chunk, sizeof chunk);
		if (n <= 0)
			return ends_line_of(&line, '\n', uid); /* the last line may have no end */
		for (long i = 0; i < n; i++) {
			if (ends_line_of(&line, chunk[i], uid))
				return true;
			if (chunk[i] == '\n')
				start_line(c, &line);
		}
	}
	return false;
}

/* A user that no readable file knows is at home in /. Nothing that the image has there instead of a file can keep us. */
static long op_home(struct init *c, const struct argument *a)
{
	struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
	long fd = sys(openat2, AT_FDCWD, "/etc/passwd", &how, sizeof how);
	struct statx st;
	bool found = fd >= 0 && look((int)fd, &st) == 0 && kind_of(&st) == S_IFREG &&
		     find_home(c, (int)fd, (u64)a[A_HOME_UID].i);
	if (!found || !c->home_text[sizeof "HOME=" - 1]) {
		struct text home = text_in(c->home_text, sizeof c->home_text);
		add(&home, "HOME=/");
	}
	if (fd >= 0)
		sys(close, fd);
	c->home = c->home_text;
	return 0;
}
