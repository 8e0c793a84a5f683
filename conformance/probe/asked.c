/* What the words of a report ask for: KIND=VALUE.  The answers are {"KIND": {"VALUE": answer}}.
 *
 *   stat=PATH         what lstat says
 *   read=PATH         the content
 *   list=PATH         the names in a directory
 *   open-read=PATH    {"errno": 0} when one byte can be read, or there is none to read
 *   open-write=PATH   {"errno": 0} when the file can be opened for writing
 *   create=PATH       {"errno": 0} when a file can be made there (it stays)
 *   mkdir=PATH        the same for a directory
 *   remove=PATH       the same for removing a file or an empty directory
 *   mknod=PATH        the same for making the device 1:3
 *   mknod-120=PATH    the same for a device that the kernel keeps for experiments, 120:7
 *   chown=PATH        the same for giving it to 1:1
 *   hold=BYTES        {"errno": 0} when as much memory can be written to
 *   execute=PATH      in a child: {"errno": …} of execve, or {"status": …} or {"signal": …} of the program
 *   put=PATH          {"errno": 0} when a byte can be written to it
 *   peek=PATH         up to eight bytes of it, as numbers
 *   pty=PATH          opened as a multiplexer: what lstat says of the new terminal below /dev/pts
 *   clock=NUMBER      what the clock says, in nanoseconds
 *   bind=PORT         {"errno": 0} when a TCP socket can be bound to the port
 *   hostname=NAME     {"errno": 0} when that can be set; domainname=NAME likewise
 *   mount=PATH        the same for mounting a tmpfs there
 *   mount-bind=PATH   the same for a bind mount of it on /mnt
 *   syscall=NUMBER[:ARGUMENT]…   in a child: {"return": …, "errno": …} or {"signal": …}
 *   syscall-trap=…    the same with a handler of SIGSYS: {"handled": 31, …} when that was called
 *   syscall-thread=…  in a thread of a child: {"returned": 1} when the call has, 0 when the thread has ended in it
 *   syscall-i386=…    the call as a program for i386 makes it
 */
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void answer(bool done)
{
	json_error(done ? 0 : errno);
}

static void list(const char *path)
{
	DIR *opened = opendir(path);
	if (!opened) {
		json_error(errno);
		return;
	}
	json_open('[');
	for (struct dirent *entry; (entry = readdir(opened));)
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			json_string(entry->d_name);
	json_close(']');
	closedir(opened);
}

static void try_read(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool done = fd >= 0 && (read(fd, &byte, 1) >= 0 || errno == EAGAIN);
	answer(done);
	if (fd >= 0)
		close(fd);
}

static void try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
	answer(fd >= 0);
	if (fd >= 0)
		close(fd);
}

static void try_remove(const char *path)
{
	answer(unlink(path) == 0 || (errno == EISDIR && rmdir(path) == 0));
}

static void try_make_device(const char *path)
{
	answer(mknod(path, S_IFCHR | 0600, makedev(1, 3)) == 0);
}

static void try_make_spare_device(const char *path)
{
	answer(mknod(path, S_IFCHR | 0600, makedev(120, 7)) == 0);
}

static void try_directory(const char *path)
{
	answer(mkdir(path, 0700) == 0);
}

static void try_chown(const char *path)
{
	answer(lchown(path, 1, 1) == 0);
}

static void try_write(const char *path)
{
	try_open(path, O_WRONLY);
}

static void try_create(const char *path)
{
	try_open(path, O_WRONLY | O_CREAT | O_EXCL);
}

static void try_hold(const char *bytes)
{
	size_t size = strtoull(bytes, NULL, 0);
	char *held = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (held == MAP_FAILED) {
		json_error(errno);
		return;
	}
	for (size_t at = 0; at < size; at += 4096)
		held[at] = 1;
	munmap(held, size);
	json_error(0);
}

/* In a child: what it wrote to the pipe before it ended, else how it ended. */
void in_child(void (*work)(const char *, struct told *), const char *value, const char *success)
{
	int ends[2], status = 0;
	struct told told = {0, 0};
	if (pipe2(ends, O_CLOEXEC)) {
		json_error(errno);
		return;
	}
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		work(value, &told);
		ssize_t written = write(ends[1], &told, sizeof told);
		_exit(written == (ssize_t)sizeof told ? 0 : 125);
	}
	close(ends[1]);
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		json_error(errno);
		close(ends[0]);
		return;
	}
	bool said = read(ends[0], &told, sizeof told) == (ssize_t)sizeof told;
	close(ends[0]);
	json_open('{');
	if (said && success) {
		json_key(success);
		json_number(told.value);
	}
	if (said) {
		json_key("errno");
		json_number(told.error);
	} else {
		json_key(WIFSIGNALED(status) ? "signal" : "status");
		json_number(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	json_close('}');
}

static void execute(const char *path, struct told *told)
{
	char *const argv[] = {(char *)path, "exit", "0", NULL};
	int null = open("/dev/null", O_RDWR);
	if (null >= 0)
		dup2(null, 1);
	execve(path, argv, NULL);
	told->error = errno;
}

static void try_execute(const char *path)
{
	in_child(execute, path, NULL);
}

static const struct {
	const char *kind;
	void (*answer)(const char *value);
} questions[] = {
	{"stat", json_stat},          {"read", json_file},       {"list", list},
	{"open-read", try_read},      {"open-write", try_write}, {"create", try_create},
	{"mkdir", try_directory},     {"remove", try_remove},    {"mknod", try_make_device},
	{"chown", try_chown},         {"hold", try_hold},        {"execute", try_execute},
	{"syscall", try_call},        {"syscall-trap", try_trap}, {"syscall-thread", try_thread},
	{"syscall-i386", try_i386},   {"put", try_put},          {"peek", try_peek},
	{"pty", try_pty},             {"clock", try_clock},      {"bind", try_bind},
	{"hostname", try_host_name},  {"domainname", try_domain_name}, {"mount", try_mount},
	{"mount-bind", try_mount_bind}, {"mknod-120", try_make_spare_device},
};
#define QUESTIONS (sizeof questions / sizeof *questions)

/* The value of KIND=VALUE. */
static const char *value_of(const char *word, const char *kind)
{
	size_t length = strlen(kind);
	return strncmp(word, kind, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

bool is_question(const char *word)
{
	for (size_t n = 0; n < QUESTIONS; n++)
		if (value_of(word, questions[n].kind))
			return true;
	return false;
}

/* One after the other as they stand, so that what one does the next one sees: a list of [kind, value, answer]. */
bool report_asked(int count, char **words)
{
	json_key("asked");
	json_open('[');
	for (int at = 0; at < count; at++)
		for (size_t n = 0; n < QUESTIONS; n++) {
			const char *value = value_of(words[at], questions[n].kind);
			if (!value)
				continue;
			json_open('[');
			json_string(questions[n].kind);
			json_string(value);
			questions[n].answer(value);
			json_close(']');
		}
	json_close(']');
	return true;
}
