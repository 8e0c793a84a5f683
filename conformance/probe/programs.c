/* What a hostile process looks for: the programs of others in its pid namespace, which it holds until it may write to
 * them.  It writes nothing.
 */
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HELD = 64, PIDS = 4096 };

static struct {
	dev_t device;
	ino_t inode;
	int fd;
} held[HELD];
static int holding;
static int seen[PIDS];
static int pids;

static void tell_of(int pid)
{
	for (int n = 0; n < pids; n++)
		if (seen[n] == pid)
			return;
	if (pids == PIDS)
		return;
	seen[pids++] = pid;
	printf("saw %d\n", pid);
	fflush(stdout);
}

static void hold(int pid)
{
	char path[64];
	struct stat found;
	snprintf(path, sizeof path, "/proc/%d/exe", pid);
	int fd = holding < HELD ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	bool known = fstat(fd, &found) != 0;
	for (int n = 0; n < holding && !known; n++)
		known = held[n].device == found.st_dev && held[n].inode == found.st_ino;
	if (known) {
		close(fd);
		return;
	}
	held[holding].device = found.st_dev;
	held[holding].inode = found.st_ino;
	held[holding++].fd = fd;
}

static void look(void)
{
	DIR *opened = opendir("/proc");
	if (!opened)
		return;
	for (struct dirent *entry; (entry = readdir(opened));) {
		int pid = atoi(entry->d_name);
		if (pid <= 0)
			continue;
		hold(pid);
		tell_of(pid);
	}
	closedir(opened);
}

static void try_to_write(int n)
{
	char path[64], target[PATH_MAX];
	snprintf(path, sizeof path, "/proc/self/fd/%d", held[n].fd);
	ssize_t length = readlink(path, target, sizeof target - 1);
	target[length < 0 ? 0 : length] = 0;
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = fd < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	printf("held %llu %llu %d %s\n", (unsigned long long)held[n].device, (unsigned long long)held[n].inode, error,
	       target);
}

/* "watching", "saw PID" for each one, and after SIGTERM "held DEVICE INODE ERRNO NAME"; its own program is the first. */
void hold_programs(void)
{
	sigset_t all;
	struct timespec none = {0, 0};
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	look();
	printf("watching\n");
	fflush(stdout);
	while (sigtimedwait(&all, NULL, &none) != SIGTERM)
		look();
	for (int n = 1; n < holding; n++)
		try_to_write(n);
	fflush(stdout);
}
