/* What a process sees from inside a container, as one JSON object on standard output.
 *
 * usage: probe [NAME=VALUE...]
 *   stat=PATH        add PATH to "stat" (lstat and access)
 *   read=PATH        add the first 4 KiB of PATH to "read" (sysctls, cgroup files)
 *   list=PATH        add the names in directory PATH to "list"
 *   write=PATH       try to create PATH and to write to it; outcome in "write"
 *   exit=STATUS      exit with STATUS instead of 0
 *   print=KEY        only that key, and not the rest (may be repeated)
 *
 * Only facts: comparing and judging them is the tests' business. Static, any libc, no allocation to speak of.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int g_argc;
static char **g_argv;

/* --- JSON ---------------------------------------------------------------------------------------------------------- */

static void put_string(const char *s, size_t n)
{
	putchar('"');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c); /* bytes as Latin-1: every byte survives */
		else
			putchar(c);
	}
	putchar('"');
}

static void put(const char *s)
{
	if (s)
		put_string(s, strlen(s));
	else
		fputs("null", stdout);
}

/* a comma before all but the first member */
static void comma(int *first)
{
	if (!*first)
		putchar(',');
	*first = 0;
}

static void key(int *first, const char *name)
{
	comma(first);
	put(name);
	putchar(':');
}

static void member(int *first, const char *name, const char *format, ...)
{
	char text[512];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	key(first, name);
	put(text);
}

static void number(int *first, const char *name, long long value)
{
	key(first, name);
	printf("%lld", value);
}

/* --- files --------------------------------------------------------------------------------------------------------- */

static char buffer[1 << 18];

/* The whole of a small file into `buffer`; -1 with errno. */
static ssize_t slurp(const char *path, size_t limit)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -1;
	size_t used = 0;
	ssize_t n = 0;
	while (used < limit && (n = read(fd, buffer + used, limit - used)) > 0)
		used += (size_t)n;
	int saved = errno;
	close(fd);
	errno = saved;
	if (used < sizeof buffer)
		buffer[used] = 0;
	return n < 0 ? -1 : (ssize_t)used;
}

static void put_error(void)
{
	char text[64];
	snprintf(text, sizeof text, "error: %s", strerror(errno));
	put(text);
}

static void put_file(const char *path)
{
	ssize_t n = slurp(path, sizeof buffer - 1);
	if (n < 0)
		put_error();
	else
		put_string(buffer, (size_t)n);
}

static void put_lines(const char *path)
{
	if (slurp(path, sizeof buffer - 1) < 0) {
		put_error();
		return;
	}
	int first = 1;
	putchar('[');
	for (char *line = strtok(buffer, "\n"); line; line = strtok(NULL, "\n")) {
		comma(&first);
		put(line);
	}
	putchar(']');
}

static void put_link(const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof target - 1);
	if (n < 0)
		put_error();
	else
		put_string(target, (size_t)n);
}

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR: return "directory";
	case S_IFREG: return "file";
	case S_IFLNK: return "symlink";
	case S_IFCHR: return "char";
	case S_IFBLK: return "block";
	case S_IFIFO: return "fifo";
	case S_IFSOCK: return "socket";
	default: return "other";
	}
}

static void put_stat(const char *path)
{
	struct stat st;
	if (lstat(path, &st)) {
		put_error();
		return;
	}
	int first = 1;
	putchar('{');
	member(&first, "type", "%s", kind_of(st.st_mode));
	member(&first, "mode", "%04o", st.st_mode & 07777);
	number(&first, "uid", st.st_uid);
	number(&first, "gid", st.st_gid);
	number(&first, "size", S_ISDIR(st.st_mode) ? 0 : (long long)st.st_size);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		member(&first, "device", "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	if (S_ISLNK(st.st_mode)) {
		key(&first, "to");
		put_link(path);
	} else {
		member(&first, "access", "%s%s%s", access(path, R_OK) ? "" : "r", access(path, W_OK) ? "" : "w",
		       access(path, X_OK) ? "" : "x");
	}
	putchar('}');
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names in a directory, each handed to `put_one`; NULL prints an array of names. */
static void put_directory(const char *path, void (*put_one)(const char *))
{
	static char *names[8192];
	size_t count = 0;
	DIR *dir = opendir(path);
	if (!dir) {
		put_error();
		return;
	}
	struct dirent *entry;
	while ((entry = readdir(dir)) && count < sizeof names / sizeof *names)
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			names[count++] = strdup(entry->d_name);
	closedir(dir);
	qsort(names, count, sizeof *names, compare_names);
	int first = 1;
	putchar(put_one ? '{' : '[');
	for (size_t i = 0; i < count; i++) {
		char full[PATH_MAX];
		snprintf(full, sizeof full, "%s/%s", path, names[i]);
		comma(&first);
		put(names[i]);
		if (put_one) {
			putchar(':');
			put_one(full);
		}
		free(names[i]);
	}
	putchar(put_one ? '}' : ']');
}

/* --- the facts ----------------------------------------------------------------------------------------------------- */

static void fact_ids(void)
{
	uid_t r, e, s;
	int first = 1;
	putchar('{');
	if (!getresuid(&r, &e, &s)) {
		key(&first, "uid");
		printf("[%u,%u,%u]", r, e, s);
	}
	if (!getresgid(&r, &e, &s)) {
		key(&first, "gid");
		printf("[%u,%u,%u]", r, e, s);
	}
	static gid_t groups[65536];
	int n = getgroups(65536, groups);
	key(&first, "groups");
	putchar('[');
	for (int i = 0; i < n; i++)
		printf("%s%u", i ? "," : "", groups[i]);
	fputs("]}", stdout);
}

/* Lines of /proc/self/status that describe what the process may do. */
static void fact_status(void)
{
	static const char *const wanted[] = {
		"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Umask",
		"SigIgn", "SigBlk", "SigCgt", "NSpid", "NStgid", "Groups", "Uid", "Gid", "Cpus_allowed_list",
		"Mems_allowed_list", "Threads", "TracerPid", "CoreDumping", "Speculation_Store_Bypass", "VmRSS", "VmLck",
	};
	if (slurp("/proc/self/status", sizeof buffer - 1) < 0) {
		put_error();
		return;
	}
	int first = 1;
	putchar('{');
	for (char *line = strtok(buffer, "\n"); line; line = strtok(NULL, "\n")) {
		char *colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = 0;
		for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
			if (!strcmp(line, wanted[i])) {
				char *value = colon + 1;
				while (isspace((unsigned char)*value))
					value++;
				key(&first, line);
				put(value);
			}
	}
	putchar('}');
}

static void fact_namespaces(void)
{
	static const char *const names[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
	int first = 1;
	putchar('{');
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		key(&first, names[i]);
		put_link(path);
	}
	putchar('}');
}

static void fact_rlimits(void)
{
	static const char *const names[] = {"CPU",	"FSIZE",   "DATA",	 "STACK",      "CORE",	   "RSS",
					    "NPROC",	"NOFILE",  "MEMLOCK",	 "AS",	       "LOCKS",	   "SIGPENDING",
					    "MSGQUEUE", "NICE",	   "RTPRIO",	 "RTTIME"};
	int first = 1;
	putchar('{');
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct rlimit limit;
		if (getrlimit((int)i, &limit))
			continue;
		key(&first, names[i]);
		/* RLIM_INFINITY as -1 */
		printf("[%lld,%lld]", (long long)limit.rlim_cur, (long long)limit.rlim_max);
	}
	putchar('}');
}

static void fact_cwd(void)
{
	char path[PATH_MAX];
	put(getcwd(path, sizeof path));
}

static void fact_env(void)
{
	int first = 1;
	putchar('[');
	for (char **entry = environ; *entry; entry++) {
		comma(&first);
		put(*entry);
	}
	putchar(']');
}

static void fact_args(void)
{
	int first = 1;
	putchar('[');
	for (int i = 0; i < g_argc; i++) {
		comma(&first);
		put(g_argv[i]);
	}
	putchar(']');
}

static void fact_umask(void)
{
	mode_t mask = umask(0);
	umask(mask);
	printf("\"%04o\"", mask);
}

static void fact_fds(void)
{
	int first = 1;
	putchar('{');
	for (int fd = 0; fd < 256; fd++) {
		int flags = fcntl(fd, F_GETFD);
		if (flags < 0)
			continue;
		char path[64], name[16];
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		snprintf(name, sizeof name, "%d", fd);
		int inner = 1;
		key(&first, name);
		putchar('{');
		key(&inner, "target");
		put_link(path);
		number(&inner, "cloexec", flags & FD_CLOEXEC);
		number(&inner, "flags", fcntl(fd, F_GETFL));
		putchar('}');
	}
	putchar('}');
}

static void fact_uname(int domain)
{
	char name[256] = "";
	if (domain ? getdomainname(name, sizeof name - 1) : gethostname(name, sizeof name - 1))
		put_error();
	else
		put(name);
}

static void fact_hostname(void) { fact_uname(0); }
static void fact_domainname(void) { fact_uname(1); }
static void fact_mounts(void) { put_lines("/proc/self/mountinfo"); }
static void fact_cgroup(void) { put_lines("/proc/self/cgroup"); }
static void fact_uid_map(void) { put_lines("/proc/self/uid_map"); }
static void fact_gid_map(void) { put_lines("/proc/self/gid_map"); }
static void fact_setgroups(void) { put_file("/proc/self/setgroups"); }
static void fact_timens(void) { put_lines("/proc/self/timens_offsets"); }
static void fact_oom(void) { put_file("/proc/self/oom_score_adj"); }
static void fact_exe(void) { put_link("/proc/self/exe"); }
static void fact_label(void) { put_file("/proc/self/attr/current"); }
static void fact_interfaces(void) { put_directory("/sys/class/net", NULL); }
static void fact_devices(void) { put_directory("/dev", put_stat); }
static void fact_root(void) { put_directory("/", put_stat); }

/* ioctl-free: works without /sys and without iproute2 */
static void fact_network(void) { put_lines("/proc/self/net/dev"); }

static void fact_personality(void)
{
	printf("%d", personality(0xffffffff));
}

struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static void fact_scheduler(void)
{
	struct attributes attr = {.size = sizeof attr};
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0)) {
		put_error();
		return;
	}
	int first = 1;
	putchar('{');
	number(&first, "policy", attr.policy);
	number(&first, "flags", (long long)attr.flags);
	number(&first, "nice", attr.nice);
	number(&first, "priority", attr.priority);
	number(&first, "runtime", (long long)attr.runtime);
	number(&first, "deadline", (long long)attr.deadline);
	number(&first, "period", (long long)attr.period);
	putchar('}');
}

static void fact_ioprio(void)
{
	long value = syscall(SYS_ioprio_get, 1 /* IOPRIO_WHO_PROCESS */, 0);
	int first = 1;
	putchar('{');
	number(&first, "class", value >> 13);
	number(&first, "priority", value & 0x1fff);
	putchar('}');
}

static void fact_mempolicy(void)
{
	int mode = -1;
	unsigned long nodes[16] = {0};
	if (syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, NULL, 0)) {
		put_error();
		return;
	}
	int first = 1;
	putchar('{');
	number(&first, "mode", mode);
	member(&first, "nodes", "%lx", nodes[0]);
	putchar('}');
}

static void fact_affinity(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof set, &set)) {
		put_error();
		return;
	}
	int first = 1;
	putchar('[');
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set)) {
			comma(&first);
			printf("%d", cpu);
		}
	putchar(']');
}

static void fact_tty(void)
{
	int first = 1;
	putchar('{');
	for (int fd = 0; fd < 3; fd++) {
		char name[2] = {(char)('0' + fd), 0};
		struct termios mode;
		struct winsize size = {0};
		key(&first, name);
		if (tcgetattr(fd, &mode)) {
			fputs("null", stdout);
			continue;
		}
		ioctl(fd, TIOCGWINSZ, &size);
		int inner = 1;
		putchar('{');
		member(&inner, "name", "%s", ttyname(fd) ? ttyname(fd) : "");
		number(&inner, "rows", size.ws_row);
		number(&inner, "columns", size.ws_col);
		number(&inner, "onlcr", !!(mode.c_oflag & ONLCR));
		number(&inner, "echo", !!(mode.c_lflag & ECHO));
		struct stat st;
		if (!fstat(fd, &st)) {
			number(&inner, "uid", st.st_uid);
			number(&inner, "gid", st.st_gid);
			member(&inner, "mode", "%04o", st.st_mode & 07777);
		}
		putchar('}');
	}
	int control = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	key(&first, "controlling");
	fputs(control >= 0 ? "true" : "false", stdout);
	number(&first, "foreground", control >= 0 ? tcgetpgrp(control) : -1);
	if (control >= 0)
		close(control);
	putchar('}');
}

static void fact_keyring(void)
{
	/* KEYCTL_DESCRIBE of the session keyring: type;uid;gid;perm;name */
	char text[512] = "";
	long serial = syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3 /* session */, 0);
	if (serial < 0 || syscall(SYS_keyctl, 6 /* KEYCTL_DESCRIBE */, serial, text, sizeof text - 1) < 0)
		put_error();
	else
		put(text);
}

static void fact_process(void)
{
	int first = 1, value = 0;
	putchar('{');
	number(&first, "pid", getpid());
	number(&first, "ppid", getppid());
	number(&first, "pgid", getpgrp());
	number(&first, "sid", getsid(0));
	number(&first, "dumpable", prctl(PR_GET_DUMPABLE));
	number(&first, "securebits", prctl(PR_GET_SECUREBITS));
	number(&first, "subreaper", prctl(PR_GET_CHILD_SUBREAPER, &value) ? -1 : value);
	number(&first, "pdeathsig", prctl(PR_GET_PDEATHSIG, &value) ? -1 : value);
	number(&first, "timerslack", prctl(PR_GET_TIMERSLACK));
	number(&first, "thp_disable", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	putchar('}');
}

/* Signals whose disposition is not the default at the start of the program. */
static void fact_signals(void)
{
	int first = 1;
	putchar('[');
	for (int signal = 1; signal < 65; signal++) {
		struct sigaction action;
		if (sigaction(signal, NULL, &action) || action.sa_handler == SIG_DFL)
			continue;
		comma(&first);
		printf("%d", signal);
	}
	putchar(']');
}

static void fact_clocks(void)
{
	struct timespec now;
	int first = 1;
	putchar('{');
	if (!clock_gettime(CLOCK_MONOTONIC, &now))
		number(&first, "monotonic", now.tv_sec);
	if (!clock_gettime(CLOCK_BOOTTIME, &now))
		number(&first, "boottime", now.tv_sec);
	putchar('}');
}

/* Each argument NAME=PATH, as an object PATH -> what `put_one` prints. */
static void asked(const char *name, void (*put_one)(const char *))
{
	size_t length = strlen(name);
	int first = 1;
	putchar('{');
	for (int i = 1; i < g_argc; i++)
		if (!strncmp(g_argv[i], name, length) && g_argv[i][length] == '=') {
			key(&first, g_argv[i] + length + 1);
			put_one(g_argv[i] + length + 1);
		}
	putchar('}');
}

static void put_head(const char *path)
{
	ssize_t n = slurp(path, 4096);
	if (n < 0)
		put_error();
	else
		put_string(buffer, (size_t)n);
}

static void put_names(const char *path) { put_directory(path, NULL); }

static void put_written(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0 || write(fd, "probe\n", 6) < 0)
		put_error();
	else
		put("written");
	if (fd >= 0)
		close(fd);
}

static void fact_stat(void) { asked("stat", put_stat); }
static void fact_read(void) { asked("read", put_head); }
static void fact_list(void) { asked("list", put_names); }
static void fact_write(void) { asked("write", put_written); }

/* fds and signals come first: later facts open descriptors of their own. */
static const struct {
	const char *name;
	void (*put)(void);
} facts[] = {
	{"fds", fact_fds},	       {"signals", fact_signals},     {"args", fact_args},
	{"env", fact_env},	       {"cwd", fact_cwd},	      {"ids", fact_ids},
	{"status", fact_status},       {"process", fact_process},     {"umask", fact_umask},
	{"namespaces", fact_namespaces}, {"hostname", fact_hostname}, {"domainname", fact_domainname},
	{"mounts", fact_mounts},       {"cgroup", fact_cgroup},       {"uid_map", fact_uid_map},
	{"gid_map", fact_gid_map},     {"setgroups", fact_setgroups}, {"timens_offsets", fact_timens},
	{"clocks", fact_clocks},       {"rlimits", fact_rlimits},     {"oom_score_adj", fact_oom},
	{"personality", fact_personality}, {"scheduler", fact_scheduler}, {"ioprio", fact_ioprio},
	{"mempolicy", fact_mempolicy}, {"affinity", fact_affinity},   {"interfaces", fact_interfaces},
	{"network", fact_network},     {"devices", fact_devices},     {"root", fact_root},
	{"tty", fact_tty},	       {"keyring", fact_keyring},     {"exe", fact_exe},
	{"label", fact_label},	       {"stat", fact_stat},	      {"read", fact_read},
	{"list", fact_list},	       {"write", fact_write},
};

/* Is this fact wanted? Without any print= all are. */
static int wanted(const char *name)
{
	int restricted = 0;
	for (int i = 1; i < g_argc; i++)
		if (!strncmp(g_argv[i], "print=", 6)) {
			restricted = 1;
			if (!strcmp(g_argv[i] + 6, name))
				return 1;
		}
	return !restricted;
}

int main(int argc, char **argv)
{
	g_argc = argc;
	g_argv = argv;
	int status = 0, first = 1;
	for (int i = 1; i < argc; i++)
		if (!strncmp(argv[i], "exit=", 5))
			status = atoi(argv[i] + 5);
	putchar('{');
	for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
		if (wanted(facts[i].name)) {
			key(&first, facts[i].name);
			facts[i].put();
		}
	puts("}");
	return fflush(stdout) ? 1 : status;
}
