/* Can this directory be mounted idmapped? Exit 0, or say which call refused. For tests/support/requirements.py. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct attr {
	uint64_t set, clear, propagation, userns;
};

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

static int put(pid_t pid, const char *file)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	static const char map[] = "0 100000 65536\n";
	ssize_t n = write(fd, map, sizeof map - 1);
	close(fd);
	return n < 0 ? -1 : 0;
}

static int idmapped(pid_t pid, const char *folder)
{
	if (put(pid, "gid_map") || put(pid, "uid_map"))
		return fail("id map");
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	int userns = open(path, O_RDONLY | O_CLOEXEC);
	if (userns < 0)
		return fail(path);
	int tree = (int)syscall(428 /* open_tree */, AT_FDCWD, folder, 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);
	if (tree < 0)
		return fail("open_tree");
	struct attr attr = {.set = 0x00100000 /* MOUNT_ATTR_IDMAP */, .userns = (uint64_t)userns};
	if (syscall(442 /* mount_setattr */, tree, "", AT_EMPTY_PATH, &attr, sizeof attr))
		return fail("mount_setattr");
	return 0;
}

int main(int argc, char **argv)
{
	int ready[2], done[2];
	if (argc != 2 || pipe2(ready, O_CLOEXEC) || pipe2(done, O_CLOEXEC))
		return fail("usage: idmap_probe DIRECTORY");
	pid_t pid = fork();
	if (pid < 0)
		return fail("fork");
	char byte = 0;
	if (pid == 0) {
		close(done[1]);
		byte = unshare(CLONE_NEWUSER) ? 1 : 0;
		if (write(ready[1], &byte, 1) != 1 || read(done[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	int status = 1;
	if (read(ready[0], &byte, 1) == 1 && byte == 0)
		status = idmapped(pid, argv[1]);
	else
		fputs("unshare(CLONE_NEWUSER) failed\n", stderr);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return status;
}
