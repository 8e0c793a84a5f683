/* The commands.
 *
 *   report [KIND=VALUE]...       everything that the probe sees, and what it is asked (asked.c), as one line of JSON
 *   report-to PATH [KIND=VALUE]...   the same, into a file
 *   echo TEXT                    that line
 *   wait [STATUS]                "waiting", then "signal N" for each one that comes; SIGTERM ends it with STATUS
 *   sleep MILLISECONDS
 *   exit STATUS
 *   abort                        SIGABRT, even for the first process of a pid namespace
 *   write PATH TEXT              the text is added to the file, which is made if need be
 *   write-pid PATH               its own pid is added to the file
 *   links-of-state STATE PATH    "NAME TARGET" lines to PATH: namespaces, exe and root of the pid in the file STATE,
 *                                and "old-root yes" where STATE is below that process's root as well
 *   spawn                        a child that sleeps for good, with "spawned PID"
 *   drain                        reads standard input to its end
 *   copy PATH                    standard input is added to the file
 *   fail-unless PATH             exits 1 unless there is such a file
 *   hold-programs                which programs of others it could write to; see programs.c
 *
 * Several commands are separated by "+".  A hook is the probe, too.
 */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void misused(const char *what)
{
	fprintf(stderr, "probe: %s\n", what);
	exit(125);
}

static void failed(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	exit(124);
}

static void report(FILE *stream, char **argv, int count, char **words)
{
	for (int n = 0; n < count; n++)
		if (!is_question(words[n]))
			misused(words[n]);
	json_begin(stream);
	json_open('{');
	report_process(argv);
	report_limits();
	report_places();
	report_asked(count, words);
	json_close('}');
	json_end();
}

/* A blocked signal is kept even for the first process of a pid namespace, which is not sent what it does not handle. */
static void stay(int status)
{
	sigset_t all;
	siginfo_t info;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	printf("waiting\n");
	fflush(stdout);
	for (;;) {
		int number = sigwaitinfo(&all, &info);
		if (number < 0)
			continue;
		if (number == SIGCHLD && info.si_code > 0) { /* of a child, and not of kill(2) */
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
			continue;
		}
		printf("signal %d\n", number);
		fflush(stdout);
		if (number == SIGTERM)
			exit(status);
	}
}

static void append(const char *path, const char *text, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, length) != (ssize_t)length || close(fd))
		failed(path);
}

static void copy(const char *path)
{
	char text[65536];
	size_t used = 0;
	for (ssize_t got; used < sizeof text && (got = read(0, text + used, sizeof text - used)) > 0;)
		used += (size_t)got;
	append(path, text, used);
}

static void drain(void)
{
	char text[4096];
	while (read(0, text, sizeof text) > 0)
		;
}

static void append_pid(const char *path)
{
	char text[32];
	int length = snprintf(text, sizeof text, "%d", getpid());
	append(path, text, (size_t)length);
}

/* A hook's work: where the links in /proc of the pid that its state names lead. */
static void links_of_state(const char *state, const char *path)
{
	static const char *const names[] = {"ns/cgroup", "ns/ipc",  "ns/mnt",  "ns/net", "ns/pid",
	                                    "ns/time",   "ns/user", "ns/uts", "exe",    "root"};
	char text[65536], link[64], target[PATH_MAX], line[PATH_MAX + 16];
	int fd = open(state, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (got < 0)
		failed(state);
	close(fd);
	text[got] = 0;
	const char *at = strstr(text, "\"pid\"");
	int pid = at ? atoi(at + 5 + strspn(at + 5, ": \t\n")) : 0;
	for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
		snprintf(link, sizeof link, "/proc/%d/%s", pid, names[n]);
		ssize_t length = readlink(link, target, sizeof target - 1);
		if (length < 0)
			continue;
		target[length] = 0;
		const char *name = strncmp(names[n], "ns/", 3) ? names[n] : names[n] + 3;
		int written = snprintf(line, sizeof line, "%s %s\n", name, target);
		append(path, line, (size_t)written);
	}
	/* Before the new root is entered, the state is below the old one. */
	snprintf(target, sizeof target, "/proc/%d/root%s", pid, state);
	int written = snprintf(line, sizeof line, "old-root %s\n", access(target, F_OK) ? "no" : "yes");
	append(path, line, (size_t)written);
}

static void spawn(void)
{
	fflush(NULL);
	pid_t child = fork();
	if (child < 0)
		failed("fork");
	if (child == 0)
		for (;;)
			pause();
	printf("spawned %d\n", child);
	fflush(stdout);
}

static void command(char **argv, int count, char **words)
{
	const char *verb = words[0];
	if (!strcmp(verb, "report")) {
		report(stdout, argv, count - 1, words + 1);
	} else if (!strcmp(verb, "report-to") && count >= 2) {
		FILE *stream = fopen(words[1], "ae");
		if (!stream)
			failed(words[1]);
		report(stream, argv, count - 2, words + 2);
		fclose(stream);
	} else if (!strcmp(verb, "echo") && count == 2) {
		puts(words[1]);
		fflush(stdout);
	} else if (!strcmp(verb, "wait") && count <= 2) {
		stay(count == 2 ? atoi(words[1]) : 0);
	} else if (!strcmp(verb, "exit") && count == 2) {
		exit(atoi(words[1]));
	} else if (!strcmp(verb, "sleep") && count == 2) {
		usleep((useconds_t)atoi(words[1]) * 1000);
	} else if (!strcmp(verb, "drain") && count == 1) {
		drain();
	} else if (!strcmp(verb, "abort") && count == 1) {
		abort();
	} else if (!strcmp(verb, "write") && count == 3) {
		append(words[1], words[2], strlen(words[2]));
	} else if (!strcmp(verb, "write-pid") && count == 2) {
		append_pid(words[1]);
	} else if (!strcmp(verb, "links-of-state") && count == 3) {
		links_of_state(words[1], words[2]);
	} else if (!strcmp(verb, "spawn") && count == 1) {
		spawn();
	} else if (!strcmp(verb, "copy") && count == 2) {
		copy(words[1]);
	} else if (!strcmp(verb, "hold-programs") && count == 1) {
		hold_programs();
	} else if (!strcmp(verb, "fail-unless") && count == 2) {
		if (access(words[1], F_OK))
			exit(1);
	} else {
		misused(verb);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2)
		misused("no command");
	for (int first = 1; first < argc;) {
		int last = first;
		while (last < argc && strcmp(argv[last], "+"))
			last++;
		if (last == first)
			misused("no command before +");
		command(argv, last - first, argv + first);
		first = last + 1;
	}
	return 0;
}
