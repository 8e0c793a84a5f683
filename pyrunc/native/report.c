/* What the runtime is told (docs/internals.md, "Messages"), and the state of one run.
 *
 * An operation returns 0 or a negative errno; FAIL remembers the innermost description on the way out.
 */

enum { MSG_CLONED = 1, MSG_SYNC, MSG_READY, MSG_FAILED, MSG_PTY, MSG_LISTENER, MSG_WARNING, MSG_STOPPED, MSG_CREATED,
       MSG_MAKING, MSG_LAYER, MSG_FILE };

/* A failure without an errno, for instance a hook's exit status. */
#define NO_ERRNO 4096

#define DETAIL_LIMIT 4001

/* A slot's mount: of the host's files, with a layer of the container on top, or of a file system of its own. */
enum mount_kind { NO_MOUNT, HOST_MOUNT, LAYER_MOUNT, OWN_MOUNT };

/* Descriptors are held plus one, so that zeroed memory means that nothing was ever put there. */
struct slot {
	int held;
	bool made; /* a target that was absent */
	enum mount_kind mount;
	u64 mount_id;
	const char *path;
};

#define ABSENT (-1)

struct init {
	int sock, fifo; /* at most one of them is open */
	u32 index;      /* of the operation that runs */
	struct program program;
	const char **pointers; /* room for the lists of one operation */
	const char *executable, *home; /* home: HOME=..., what execve adds */
	bool mask_attached, null_attached;
	bool inside;  /* the rootfs is / */
	i64 preserved; /* descriptors from 3 on that the process keeps */
	u32 exit_code; /* for FAILED */
	u32 top;       /* slots below were used */
	int argc;
	char **argv;
	struct text detail;
	char detail_text[DETAIL_LIMIT];
	char executable_text[PATH_LIMIT];
	char home_text[PATH_LIMIT];
	struct slot slots[SLOT_LIMIT];
};

static long fail(struct init *c, long error, const char *const *parts)
{
	if (!c->detail.used)
		for (; *parts; parts++)
			add(&c->detail, *parts);
	return error;
}
#define FAIL(c, error, ...) fail(c, error, (const char *const[]){__VA_ARGS__, NULL})

/* Evaluates to the call's result; returns from the operation with a description when it is an error. */
#define TRY(c, call, ...)                                                                                              \
	({                                                                                                             \
		long try_result = (call);                                                                              \
		if (try_result < 0)                                                                                    \
			return FAIL(c, try_result, __VA_ARGS__);                                                       \
		try_result;                                                                                            \
	})

struct iovec {
	const void *base;
	u64 length;
};

struct message_header {
	void *name;
	u32 name_length, pad;
	struct iovec *parts;
	u64 part_count;
	void *control;
	u64 control_length;
	u32 flags, pad2;
};

struct control {
	u64 length;
	u32 level, type;
	int fd, pad;
};

#define SOL_SOCKET_LEVEL 1
#define SCM_RIGHTS_TYPE 1
#define MSG_NOSIGNAL_FLAG 0x4000
#define MSG_PEEK_FLAG 2
#define MSG_DONTWAIT_FLAG 0x40

/* One packet; fd -1 sends none with it. */
static long send_message(struct init *c, u32 kind, u32 value, long error, int fd)
{
	u32 head[4] = {kind, c->index, (u32)(error == NO_ERRNO ? 0 : error), value};
	struct iovec parts[2] = {{head, sizeof head}, {c->detail.at, c->detail.used}};
	struct control rights = {.length = sizeof rights - sizeof rights.pad, .level = SOL_SOCKET_LEVEL,
				 .type = SCM_RIGHTS_TYPE, .fd = fd};
	struct message_header header = {.parts = parts, .part_count = 2};
	long sent;
	if (fd >= 0) {
		header.control = &rights;
		header.control_length = sizeof rights;
	}
	do
		sent = sys(sendmsg, c->sock, &header, MSG_NOSIGNAL_FLAG);
	while (sent == -EINTR);
	return sent < 0 ? sent : 0;
}

/* A message about something that is no failure: the detail is used up by it. */
static long tell(struct init *c, u32 kind, u32 value, long error)
{
	long sent = send_message(c, kind, value, error, -1);
	c->detail = text_in(c->detail_text, sizeof c->detail_text);
	return sent;
}

/* A seccomp filter may forbid to exit; then only a fault ends the process. */
static _Noreturn void end(int status)
{
	sys(exit_group, status);
	sys(exit, status);
	for (;;)
		__builtin_trap();
}

/* Waits for the runtime's byte.  When the runtime has gone nobody wants the container any more. */
static void wait_for_runtime(struct init *c)
{
	u8 byte;
	if (retry_read(c->sock, &byte, 1) != 1)
		end(1);
}

/* The few errors that a reader meets without Python to spell them out. */
static void add_error(struct text *t, long error)
{
	static const struct {
		int number;
		const char *text;
	} names[] = {
		{ENOENT, "no such file or directory"}, {EACCES, "permission denied"},   {EPERM, "operation not permitted"},
		{ENOEXEC, "exec format error"},        {ENOTDIR, "not a directory"},     {E2BIG, "argument list too long"},
		{ETXTBSY, "text file busy"},           {ENOMEM, "cannot allocate memory"}, {ELOOP, "too many levels of symbolic links"},
		{ENAMETOOLONG, "file name too long"},  {EINVAL, "invalid argument"},     {EISDIR, "is a directory"},
		{ELIBBAD, "accessing a corrupted shared library"}, {EIO, "input/output error"},
		{EAGAIN, "resource temporarily unavailable"},      {EMFILE, "too many open files"},
	};
	for (u32 i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].number == error) {
			add(t, names[i].text);
			return;
		}
	add(t, "errno ");
	add_number(t, error);
}

#define SIGPIPE_NUMBER 13
struct signal_action {
	unsigned long handler, flags, restorer, mask; /* as wide as the kernel's on both architectures */
};

static void set_sigpipe(unsigned long handler)
{
	struct signal_action action = {.handler = handler};
	sys(rt_sigaction, SIGPIPE_NUMBER, &action, NULL, 8);
}

/* A message on the exec FIFO; a pipe without readers must not kill the process. */
static long write_fifo(struct init *c, const void *bytes, u32 length)
{
	long put;
	set_sigpipe(1);
	put = retry_write(c->fifo, bytes, length);
	set_sigpipe(0);
	return put == (long)length ? 0 : put < 0 ? put : -EIO;
}

/* The last thing that a failed run does: the socket, else the FIFO, else stderr is told. */
static _Noreturn void give_up(struct init *c, long error)
{
	char text[16 + DETAIL_LIMIT];
	struct text line = text_in(text, sizeof text);
	if (c->sock >= 0 && send_message(c, MSG_FAILED, c->exit_code, error, -1) == 0)
		end(1);
	if (c->fifo >= 0) {
		u32 head[4] = {MSG_FAILED, c->index, (u32)(error == NO_ERRNO ? 0 : error), c->exit_code};
		memcpy(text, head, sizeof head);
		memcpy(text + sizeof head, c->detail.at, c->detail.used);
		if (write_fifo(c, text, (u32)sizeof head + c->detail.used) == 0)
			end(1);
	}
	add(&line, "pyrunc-init: ");
	add(&line, c->detail.at);
	if (!c->exit_code && error != NO_ERRNO) {
		add(&line, ": ");
		add_error(&line, error);
	}
	add(&line, "\n");
	retry_write(2, line.at, line.used);
	end(1);
}

/* Slots. */
static long slot_fd(struct init *c, i64 n, const char *what)
{
	if (n < 0 || n >= SLOT_LIMIT || c->slots[n].held <= 0)
		return FAIL(c, -EBADF, "nothing in slot ", what);
	return c->slots[n].held - 1;
}

static bool absent(const struct init *c, i64 n)
{
	return n >= 0 && c->slots[n].held == ABSENT;
}

/* Puts a descriptor, or ABSENT, into a slot, which owns it from then on. */
static long fill(struct init *c, i64 n, long fd, const char *path)
{
	if (n < 0) {
		sys(close, fd);
		return FAIL(c, -EBADF, "no slot to fill");
	}
	if (c->slots[n].held > 0)
		sys(close, c->slots[n].held - 1);
	c->slots[n] = (struct slot){.held = fd < 0 ? ABSENT : (int)fd + 1, .path = path};
	if (c->top <= (u32)n)
		c->top = (u32)n + 1;
	return 0;
}

/* Closes for good, now: the kernel resolves the path of execve before it closes what is close-on-exec, and a
 * symlink in the rootfs may lead through /proc/self/fd to whatever is still open (CVE-2024-21626). */
static void close_slot(struct init *c, i64 n)
{
	if (n >= 0 && c->slots[n].held > 0) {
		sys(close, c->slots[n].held - 1);
		c->slots[n] = (struct slot){0};
	}
}

/* All descriptors from `first` on but `keep`, which may be -1. */
static void close_from(int first, int keep)
{
	if (keep > first)
		sys(close_range, first, keep - 1, 0);
	sys(close_range, keep >= first ? keep + 1 : first, ~0u, 0);
}

static const char *path_of(const struct init *c, i64 n)
{
	return n >= 0 && c->slots[n].path ? c->slots[n].path : "";
}
