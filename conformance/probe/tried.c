/* What the probe tries where it is asked to: devices, clocks, ports, and system calls in ways of their own. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void answer(bool done)
{
	json_error(done ? 0 : errno);
}

void try_put(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	answer(fd >= 0 && write(fd, "x", 1) == 1);
	if (fd >= 0)
		close(fd);
}

void try_peek(const char *path)
{
	unsigned char bytes[8];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t got = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
	if (got < 0) {
		json_error(errno);
	} else {
		json_open('[');
		for (ssize_t at = 0; at < got; at++)
			json_number(bytes[at]);
		json_close(']');
	}
	if (fd >= 0)
		close(fd);
}

void try_pty(const char *path)
{
	char slave[32];
	int number = -1, unlocked = 0, fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || ioctl(fd, TIOCGPTN, &number) || ioctl(fd, TIOCSPTLCK, &unlocked)) {
		json_error(errno);
	} else {
		snprintf(slave, sizeof slave, "/dev/pts/%d", number);
		json_stat(slave);
	}
	if (fd >= 0)
		close(fd);
}

void try_clock(const char *number)
{
	struct timespec now;
	if (clock_gettime(atoi(number), &now))
		json_error(errno);
	else
		json_number(now.tv_sec * 1000000000LL + now.tv_nsec);
}

void try_bind(const char *port)
{
	struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	answer(fd >= 0 && bind(fd, (struct sockaddr *)&place, sizeof place) == 0);
	if (fd >= 0)
		close(fd);
}

void try_host_name(const char *name)
{
	answer(sethostname(name, strlen(name)) == 0);
}

void try_domain_name(const char *name)
{
	answer(setdomainname(name, strlen(name)) == 0);
}

void try_mount(const char *path)
{
	answer(mount("conformance", path, "tmpfs", 0, "size=4k") == 0);
}

void try_mount_bind(const char *path)
{
	answer(mount(path, "/mnt", NULL, MS_BIND, NULL) == 0);
}

/* NUMBER[:ARGUMENT]… */
static void numbers(const char *text, long *words)
{
	char *end = NULL;
	for (int n = 0; n < 7; n++) {
		words[n] = (long)strtoull(text, &end, 0);
		if (*end != ':')
			break;
		text = end + 1;
	}
}

static void call(const char *value, struct told *told)
{
	long words[7] = {0};
	numbers(value, words);
	errno = 0;
	told->value = syscall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
	told->error = told->value < 0 ? errno : 0;
}

static volatile sig_atomic_t trapped;

static void note(int number)
{
	trapped = number;
}

static void call_and_handle(const char *value, struct told *told)
{
	signal(SIGSYS, note);
	call(value, told);
	told->value = trapped;
}

static void call_of_i386(const char *value, struct told *told)
{
#ifdef __x86_64__
	long words[7] = {0}, result;
	numbers(value, words);
	__asm__ volatile("int $0x80"
	                 : "=a"(result)
	                 : "a"(words[0]), "b"(words[1]), "c"(words[2]), "d"(words[3])
	                 : "memory", "r8", "r9", "r10", "r11");
	result = (int)result;
	told->value = result;
	told->error = result < 0 && result > -4096 ? (int)-result : 0;
#else
	(void)value;
	told->error = ENOSYS;
#endif
}

struct errand {
	long words[7];
	volatile int returned;
};

static int errand(void *given)
{
	struct errand *own = given;
	const long *words = own->words;
	syscall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
	own->returned = 1;
	syscall(SYS_exit, 0); /* of this thread alone */
	return 0;
}

/* The value is 1 when the call has returned, 0 when the thread that made it has ended instead. */
static void call_of_a_thread(const char *value, struct told *told)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	static struct errand given;
	static volatile pid_t thread = 1;
	int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_CLEARTID;
	numbers(value, given.words);
	if (clone(errand, stack + sizeof stack, flags, &given, NULL, NULL, &thread) < 0) {
		told->error = errno;
		return;
	}
	for (pid_t seen; (seen = thread);)
		syscall(SYS_futex, &thread, FUTEX_WAIT, seen, NULL, NULL, 0);
	told->value = given.returned;
}

void try_call(const char *value)
{
	in_child(call, value, "return");
}

void try_trap(const char *value)
{
	in_child(call_and_handle, value, "handled");
}

void try_i386(const char *value)
{
	in_child(call_of_i386, value, "return");
}

void try_thread(const char *value)
{
	in_child(call_of_a_thread, value, "returned");
}
